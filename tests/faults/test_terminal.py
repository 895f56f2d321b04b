"""Output that is no terminal, has no colours, no room, or no letters beyond ASCII."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import ProgressBar
from made_up import depth_sweep
from rich.console import Console, RenderableType

from thawline.advisor.choices import Choice, Price, Recommendation
from thawline.callbacks.progress import progress_callbacks
from thawline.commands.ending import exit_code
from thawline.commands.verify_freeze import _table as certificate_table
from thawline.features.expected import Expected
from thawline.freezing.status import StageStatus
from thawline.freezing.status_table import plan_table, status_table
from thawline.freezing.verify import StageCheck
from thawline.report.advice_panel import advice_panel
from thawline.report.candidate_table import candidate_table
from thawline.report.collect import collect
from thawline.report.comparison import compare
from thawline.report.comparison_table import terminal_tables
from thawline.report.record_sections import CandidateEntry
from thawline.report.run_record import RunRecord
from thawline.report.summary import summary_panel
from thawline.settings.advise_settings import BudgetSettings
from thawline.training.steps import Steps
from thawline.whole_table import WholeTable

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("data.batch_size=8", "trainer.accelerator=cpu", "data=folder", "trainer.max_epochs=2")
NARROW = 40  # columns
BUDGET = BudgetSettings()


def test_in_a_pipe_an_epoch_is_a_line_without_control_characters(run_cli: Run, image_folder: Path) -> None:
    result = run_cli(*TINY, f"data.root={image_folder}")
    assert result.code == 0, result.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.out)
    epochs = [line for line in result.out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/2", "2/2"]


@pytest.mark.parametrize(
    ("tty", "term", "bar"), [(True, "xterm-256color", True), (True, "dumb", False), (False, "xterm-256color", False)]
)
def test_a_bar_is_drawn_only_where_lines_can_be_drawn_over(
    monkeypatch: pytest.MonkeyPatch, tty: bool, term: str, bar: bool
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(output, "isatty", lambda: tty)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")  # asks for colours in a pipe, not for a bar
    made = progress_callbacks(Steps(2, 2, 2, 1, 1.0))
    assert any(isinstance(one, ProgressBar) for one in made) == bar
    solving = progress_callbacks(Steps(1, 1, 1, 1, 1.0), solves=True)  # one step, and a bar that would stand at 0
    assert not any(isinstance(one, ProgressBar) for one in solving)


def shown(renderable: RenderableType, **console: Any) -> str:
    output = io.StringIO()
    Console(file=output, **console).print(renderable)
    return output.getvalue()


def summary() -> RenderableType:
    return summary_panel(
        RunRecord(
            run_id="r", scenario="small_different", seed=0, status="completed", best_epoch=3,
            data={"name": "solar_cells", "num_train": 1560, "num_val": 120, "num_test": 120, "num_classes": 4},
            model={"name": "tf_efficientnet_lite0", "weights": "embedded", "head": "linear", "num_stages": 9},
            strategy={"name": "partial_fine_tune", "unfreeze_depth": 2,
                      "phases": [{"from_epoch": 0, "stages": ["head"]}]},
            metrics={"val/accuracy": 0.75, "test/accuracy": 0.5, "test/balanced_accuracy": 0.25, "test/loss": 1.5},
        )
    )  # fmt: skip


TABLES = [
    status_table([StageStatus("features.denseblock4", 11_176_512, 11_176_512, "train")]),
    plan_table([("1-100", "head, features.denseblock4, features.denseblock3", 11_176_512)]),
    summary(),
]


@pytest.mark.parametrize("table", TABLES, ids=["status", "plan", "summary"])
def test_in_forty_columns_nothing_is_lost(table: RenderableType) -> None:
    narrow, wide = shown(table, width=NARROW), shown(table, width=200)
    assert max(map(len, narrow.splitlines())) <= NARROW
    assert "…" not in narrow
    for number in re.findall(r"\d[\d,.]*\d", wide):
        assert number in narrow  # whole, on one line
    letters = [re.sub(r"[^\w]", "", text) for text in (narrow, wide)]
    assert sorted(letters[0]) == sorted(letters[1])


def advice() -> RenderableType:
    stack = Choice("stacked_probe", 0, None, None, Price(8.0, 10**9), Expected(0.7312, 0.7, 0.76, 680, "leave-one-out"))
    blend = Choice("blend", 3, 3e-4, 8, Price(150.0, 2 * 10**9), None)
    return advice_panel(Recommendation("small_different", 0.5, blend, [stack, blend]), ["Because."], budget=BUDGET)


def comparison(folder: Path) -> RenderableType:
    runs, _ = collect([depth_sweep(folder)])
    return WholeTable(*terminal_tables(compare(runs, metric="test/accuracy", baseline=runs[0].folder)[0]))


def certificate(folder: Path) -> RenderableType:
    return WholeTable(certificate_table([StageCheck("features.denseblock4", [[0, 1], [3, 3]], 218, 109, [])]))


def candidates(folder: Path) -> RenderableType:
    expected = Expected(0.977, 0.935, 1.0, 177, "leave-one-out")
    entry = CandidateEntry("tf_efficientnet_lite0", 224, expected=expected)
    entry.log_loss, entry.latency_ms, entry.size_mb = 0.0884, 3.14, 13.68
    return WholeTable(candidate_table([entry]))


@pytest.mark.parametrize("made", [comparison, certificate, candidates, lambda _: advice()])
def test_a_table_that_does_not_fit_is_shown_line_by_line(made: Callable[[Path], Any], tmp_path: Path) -> None:
    table = made(tmp_path)
    narrow, wide = shown(table, width=NARROW), shown(table, width=120)
    assert max(map(len, narrow.splitlines())) <= NARROW
    assert "…" not in narrow
    for number in re.findall(r"\d[\d.]*[%*]?", wide):
        assert number in narrow  # whole, on one line
    assert narrow.count("\n") > wide.count("\n")  # with room it is a table


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for table in TABLES:
        codes = re.findall(r"\x1b\[([\d;]*)m", shown(table, width=80, force_terminal=True))
        assert not [code for code in codes if re.search(r"(^|;)(3[0-8]|4[0-8]|9[0-7])", code)], codes


@pytest.mark.slow
def test_a_terminal_of_ascii_letters_shows_the_run(tmp_path: Path, image_folder: Path) -> None:
    (image_folder / "cats").rename(image_folder / "Ähren")
    idle = ("strategy=feature_extraction", "optim=sgd", "optim.lr=0")  # so that the class is named at the end
    command = [sys.executable, str(ROOT / "train.py"), *TINY, *idle, f"data.root={image_folder}"]
    command += [f"output_dir={tmp_path}/out", f"cache.dir={tmp_path}/cache"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert rb"all 4 test images were taken for \xc4hren" in done.stdout
    assert done.stdout.isascii()
    assert done.stderr == b""


@pytest.mark.slow
def test_names_are_the_same_in_an_ascii_locale(tmp_path: Path, image_folder: Path) -> None:
    """In every file, and in rows on standard output, which is no terminal here."""
    (image_folder / "cats").rename(image_folder / "사진")
    (image_folder / "dogs").rename(image_folder / "Ähren")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONIOENCODING", None)
    run = tmp_path / "사진"
    train = [sys.executable, "train.py", *TINY, "strategy=stacked_probe", f"data.root={image_folder}"]
    train += [f"hydra.run.dir={run}", f"cache.dir={tmp_path}/cache"]
    for command in (train, [sys.executable, "scripts/predict.py", str(run), str(image_folder / "사진" / "00.png")]):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert f"{image_folder}/사진/00.png,사진," in done.stdout.decode("utf-8")
    assert json.loads((run / "run.json").read_bytes())["classes"]["names"] == ["Ähren", "사진"]
    assert json.loads((run / "model" / "model.json").read_bytes())["class_names"] == ["Ähren", "사진"]
    assert f"{image_folder}/사진/00.png,사진," in (run / "splits.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("where", ["in the middle", "at the end"])
def test_a_reader_that_has_read_enough_ends_a_command_in_silence(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `verify-freeze RUN | head` has one; what is short is written at the end only."""

    def gone(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    nowhere: list[bool] = []
    monkeypatch.setattr("thawline.commands.ending._send_stdout_nowhere", lambda: nowhere.append(True))
    with monkeypatch.context() as only_here:
        only_here.setattr(sys.stdout, "flush", gone)
        assert exit_code(gone if where == "in the middle" else lambda: 0) == 1
    assert nowhere == [True]
    assert capsys.readouterr().err == ""


def test_another_pipe_that_is_gone_does_not_end_a_command_in_silence() -> None:
    """That of a process that reads images, for one."""

    def gone() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        exit_code(gone, explain=lambda _: None)

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
from rich.console import Console, RenderableType

from thawline.callbacks.progress import progress_callbacks
from thawline.freezing.status import StageStatus
from thawline.freezing.status_table import plan_table, status_table
from thawline.report.run_record import RunRecord
from thawline.report.summary import summary_panel
from thawline.training.steps import Steps

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("data.batch_size=8", "trainer.accelerator=cpu", "data=folder", "trainer.max_epochs=2")
NARROW = 40  # columns


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

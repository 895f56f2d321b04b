"""scenario=auto: the first answer is solved, a better one follows, and the best so far is complete at any time."""

import json
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.advisor import choices
from thawline.advisor.choices import Price
from thawline.freezing.verify import verify
from thawline.machine.sigterm import Terminated
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.run_record import RunRecord
from thawline.runs import auto
from thawline.runs import rung as one_rung
from thawline.runs.context import RunContext
from thawline.runs.one_run import run_once
from thawline.runs.rung import Climb
from thawline.settings.advise_settings import BudgetSettings
from thawline.settings.trainer_settings import TrainerSettings
from thawline.training.blend_gain import blend_expected

Run = Callable[..., Any]
AUTO = ("scenario=auto", "model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
AUTO += ("data.batch_size=4", "trainer.accelerator=cpu", "budget.minutes=null")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "_LEAST_STEPS", 4)
    monkeypatch.setattr(choices, "_EPOCHS", 1)


def the_run(out: Path) -> tuple[Path, dict[str, Any]]:
    (folder,) = (out / "auto").iterdir()
    return folder, json.loads((folder / "run.json").read_text())


def rungs(record: dict[str, Any]) -> list[str]:
    return [rung["name"].partition("_")[0] for rung in record["advice"]["rungs"]]


def test_it_climbs_and_keeps_the_best(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}")
    assert result.code == 0, result.err
    folder, record = the_run(tmp_path / "out")
    assert record["status"] == "completed"
    assert record["scenario"] == "auto"
    assert rungs(record) == ["stacked", "blend"]
    kept = [rung for rung in record["advice"]["rungs"] if rung["kept"]]
    assert record["expected"] == kept[-1]["expected"]
    lines = re.findall(r" s  (?:stacked_probe|blend_\d): accuracy \d\.\d{3} to expect on new images", result.out)
    assert len(lines) == 2
    assert "Next: blend_" in result.out
    assert result.out.count("24 images (16 train, 4 val, 4 test), 2 classes") == 1  # told once, not by every rung
    assert (result.out + result.err).count("Note: the frozen stages hold random weights") == 1
    assert "Stopped: nothing further to try." in result.out
    assert not [problem for check in verify(folder) for problem in check.problems]
    for rung in (folder / "rungs").iterdir():
        assert json.loads((rung / "run.json").read_text())["status"] == "completed"
    best = sorted((folder / "rungs").iterdir())[len(kept) - 1 if len(kept) == 2 else 0]
    ends = [load_checkpoint(path / "checkpoints" / "best.ckpt")["state_dict"] for path in (folder, best)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Scalars("test/accuracy")[-1].value == pytest.approx(record["metrics"]["test/accuracy"])
    assert (folder / "depth_profile.png").is_file()
    assert record["advice"]["cell"] == "small_different"


def test_a_budget_of_a_moment_leaves_the_first_answer(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}", "budget.minutes=0.0001")
    assert result.code == 0, result.err
    folder, record = the_run(tmp_path / "out")
    assert rungs(record) == ["stacked"]
    assert record["strategy"]["name"] == "stacked_probe"
    assert record["metrics"]["test/accuracy"] == 1.0
    more = "such as budget.minutes=5, a fine-tuned blend comes next"
    assert record["advice"]["ended"].endswith(f" is spent; with more, {more}")
    assert (folder / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize(
    ("bound", "says"),
    [
        ("budget.memory_gb=0.001", r"budget.memory_gb=0.001: blend_\d would need \d+\.\d GB"),
        ("budget.min_gain=5", r"budget.min_gain=5: blend_\d is expected to gain 0\.\d points"),
    ],
)
def test_a_rung_beyond_a_bound_is_not_tried_and_told(
    run_cli: Run, image_folder: Path, tmp_path: Path, bound: str, says: str
) -> None:
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}", bound)
    assert result.code == 0, result.err
    assert re.search(says, result.out)
    assert rungs(the_run(tmp_path / "out")[1]) == ["stacked"]


@pytest.mark.parametrize(("left", "fits"), [(52.0, True), (48.0, False)])
def test_a_blend_is_as_deep_as_the_time_that_is_left_allows(left: float, fits: bool) -> None:
    # pass and training 20 s, 5 s besides; the rung before took twice as long as foretold: 2 * (20 + 5) = 50 s
    start = time.perf_counter() - (60 * 2 - left)
    unused = cast(Any, None)
    state = Climb(unused, unused, unused, start, BudgetSettings(minutes=2), fixed_s=5.0, seconds_of=[(10.0, 20.0)])
    assert auto._in_time(state, Price(20.0, 1)) == fits
    refused = state.refused("blend_2", seconds=25.0, gain=0.01)
    assert refused is None if fits else str(refused).startswith("budget.minutes=2: blend_2 would take 50 s, 4")


def test_the_whole_time_counts_what_came_after_the_last_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SimpleNamespace(trainer=TrainerSettings(), budget=BudgetSettings())
    config = SimpleNamespace(settings=settings, text="", leaves={})
    stacks = SimpleNamespace(first=lambda: None, others=lambda: None, taken=None)
    for name, replaced in (("Stacks", stacks), ("candidates_of", []), ("_advised", None), ("_go_on", None)):
        monkeypatch.setattr(auto, name, lambda *_, value=replaced: value)
    record = RunRecord("r", "auto", 0, cost={"wall_s": 2.0})
    composed = cast(Any, SimpleNamespace(read=lambda: config))
    auto.climb(composed, RunContext(tmp_path, (), {}, False), record, start=time.perf_counter() - 7)
    assert 7 <= record.cost.wall_s < 9


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 128 + signal.SIGTERM)])
def test_interrupted_later_it_leaves_a_complete_model(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException], code: int,
) -> None:  # fmt: skip
    fail_in_the_blend(monkeypatch, stop())
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}")
    assert result.code == code
    folder, record = the_run(tmp_path / "out")
    assert record["status"] == "completed"
    assert record["advice"]["ended"] == "interrupted"
    assert rungs(record) == ["stacked"]
    assert record["metrics"]["test/accuracy"] == 1.0
    assert (folder / "checkpoints" / "best.ckpt").is_file()
    assert "test      accuracy 1.0000" in re.sub(r"[│ ]+", " ", result.out).replace(" test ", " test      ")


def test_a_rung_that_fails_is_told_and_loses_nothing(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_in_the_blend(monkeypatch, OSError("no space left"))
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}")
    assert result.code == 0
    assert "failed: no space left. The model of the rung before stays." in result.out + result.err
    folder, record = the_run(tmp_path / "out")
    assert record["status"] == "completed"
    assert rungs(record) == ["stacked"]
    (failed,) = (path for path in (folder / "rungs").iterdir() if "blend" in path.name)
    assert json.loads((failed / "run.json").read_text())["status"] == "failed"


def test_a_rung_that_promises_less_is_not_kept(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain_loss = partial(blend_expected, usual=-0.5, spread=1e-6)
    monkeypatch.setattr("thawline.runs.blend.blend_expected", certain_loss)
    result = run_cli(*AUTO, "data=folder", f"data.root={image_folder}")
    assert result.code == 0, result.err
    _, record = the_run(tmp_path / "out")
    assert [rung["kept"] for rung in record["advice"]["rungs"]] == [True, False]
    assert record["strategy"]["name"] == "stacked_probe"
    assert "not kept, the rung before promises more" in result.out


def test_a_run_that_was_killed_goes_on_with_what_is_missing(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("thawline.runs.auto._advised", lambda *_: _raise(Killed()))
        with pytest.raises(Killed):
            run_cli(*AUTO, "data=folder", f"data.root={image_folder}")
    folder, record = the_run(tmp_path / "out")
    assert record["status"] == "running"
    before = (folder / "rungs" / "1_stacked_probe" / "run.json").stat().st_mtime_ns
    result = run_cli(f"resume={folder}")
    assert result.code == 0, result.err
    _, record = the_run(tmp_path / "out")
    assert record["status"] == "completed"
    assert rungs(record) == ["stacked", "blend"]
    assert (folder / "rungs" / "1_stacked_probe" / "run.json").stat().st_mtime_ns == before


class Killed(BaseException):
    """Nothing can be written any more."""


def fail_in_the_blend(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(config: Any, context: Any, *rest: Any, **more: Any) -> None:
        if "blend" in context.folder.name:
            raise error
        run_once(config, context, *rest, **more)

    monkeypatch.setattr(one_rung, "run_once", run)


def _raise(error: BaseException) -> None:
    raise error

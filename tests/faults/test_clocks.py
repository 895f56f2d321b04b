"""Clocks that jump, stand still, or were wrong when a file was written."""

import itertools
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.callbacks.tensorboard import EventFileLogger
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.read_files import states_of
from thawline.features.feature_cache import FeatureCache
from thawline.runs.context import new_dir

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("data.batch_size=8", "trainer.accelerator=cpu", "data=folder", "trainer.max_epochs=2")
HOUR = 3600.0  # seconds
IN_2318 = 11_000_000_000  # seconds; in ns it is no int64
BEFORE_1970 = -100_000_000  # seconds


class StandingClock(datetime):
    """What `${now:...}` of a config shows is always the same microsecond."""

    @classmethod
    def now(cls, tz: Any = None) -> "StandingClock":
        return cls(2026, 10, 25, 2, 30, 0, 123456)


@pytest.mark.parametrize(
    ("mode", "more", "place"), [((), (), "small_different"), (("-m",), ("strategy=fine_tune,nothing",), "multirun")]
)
def test_runs_and_sweeps_that_start_in_the_same_microsecond_have_folders_of_their_own(
    run_cli: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: tuple[str, ...],
    more: tuple[str, ...],
    place: str,
) -> None:
    """A clock that is set back at the end of summer shows the same hour again, too."""
    monkeypatch.setattr("hydra.core.utils.datetime", StandingClock)
    monkeypatch.setattr("thawline.runs.unstarted.remove_unstarted", lambda folder: None)
    for _ in range(2):  # each ends in bad input once its folder is made
        assert run_cli(*mode, *TINY, f"data.root={tmp_path}/nowhere", *more).code == 2
    names = sorted(folder.name for folder in (tmp_path / "out" / place).iterdir())
    assert len(names) == 2
    assert names[1] == f"{names[0]}-2"


def test_of_many_at_once_each_makes_one_folder(tmp_path: Path) -> None:
    wanted = str(tmp_path / "outputs" / "run")
    with ThreadPoolExecutor(8) as together:
        made = list(together.map(new_dir, [wanted] * 40))
    assert sorted(made) == sorted([wanted, *(f"{wanted}-{number}" for number in range(2, 41))])
    assert len(list((tmp_path / "outputs").iterdir())) == 40


def test_what_cannot_be_made_is_left_to_who_tells_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert new_dir(str(tmp_path / "file" / "run")) == str(tmp_path / "file" / "run")


def test_a_run_whose_clock_jumps_loses_nothing(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back an hour and forth a day, at every look; durations come from a clock that does not jump."""
    jumps, start = itertools.cycle((0.0, -HOUR, 24 * HOUR)), time.time()
    began = time.perf_counter()
    monkeypatch.setattr(time, "time", lambda: start + next(jumps))
    assert run_cli(*TINY, f"data.root={image_folder}").code == 0
    (path,) = (tmp_path / "out").rglob("run.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["status"] == "completed"
    assert [step for step, _ in record["curves"]["val/loss"]] == sorted({s for s, _ in record["curves"]["val/loss"]})
    spent = time.perf_counter() - began
    seconds = {key: value for key, value in record["cost"].items() if key.endswith("_s") and value is not None}
    assert seconds.keys() >= {"wall_s", "fit_s", "images_per_s"}
    assert all(value >= 0 for value in seconds.values())
    assert all(0 < seconds[key] <= spent for key in ("wall_s", "fit_s"))


def scalars(folder: Path) -> list[tuple[int, float]]:
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return [(event.step, event.value) for event in read.Scalars("val/loss")]


def test_what_a_resumed_run_logs_holds_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event files are read in the order of the seconds in their names."""
    now = time.time()
    for first_step, then, values in (
        (None, now, [(0, 1.0), (1, 2.0), (2, 3.0)]),
        (1, now - HOUR, [(1, 20.0), (2, 30.0)]),
        (2, now - HOUR, [(2, 300.0)]),
        (3, now - 2 * HOUR, [(3, 400.0)]),
    ):
        monkeypatch.setattr(time, "time", lambda then=then: then)
        logger = EventFileLogger(tmp_path, first_step=first_step)
        for step, value in values:
            logger.log_metrics({"val/loss": value}, step=step)
        logger.close()
    assert len(list(tmp_path.iterdir())) == 4
    assert scalars(tmp_path) == [(0, 1.0), (1, 20.0), (2, 300.0), (3, 400.0)]


@pytest.mark.parametrize("year", [IN_2318, BEFORE_1970])
@pytest.mark.parametrize("verify", [True, False])
def test_an_image_of_any_year_is_read(image_folder: Path, year: int, verify: bool) -> None:
    image = image_folder / "cats" / "00.png"
    os.utime(image, (year, year))
    if image.stat().st_mtime_ns != year * 10**9:
        pytest.skip("this file system holds no such time")
    first = FolderSource(root=image_folder, verify=verify)
    fingerprint = first.fingerprint()
    assert len(first.labels) == 24
    assert FolderSource(root=image_folder, verify=verify).fingerprint() == fingerprint
    before = states_of(str(image_folder), np.array(["cats/00.png"]))
    Image.new("RGB", (32, 32), (1, 2, 3)).save(image)
    os.utime(image, (year + 1, year + 1))
    assert (states_of(str(image_folder), np.array(["cats/00.png"])) != before).any()


def test_a_part_of_a_store_whose_time_lies_in_the_future_is_removed(tmp_path: Path) -> None:
    for name, age in (("now.1.part", 0.0), ("ahead.2.part", -HOUR), ("old.3.part", 48 * HOUR), ("future.4.part", -1e9)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    FeatureCache(tmp_path, max_bytes=10**6).writers([], [], num_rows=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ahead.2.part", "now.1.part"]

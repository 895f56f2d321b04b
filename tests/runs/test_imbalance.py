"""A run on classes that differ in size: what it says before it trains, what it selects by, and what it leaves."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.runs.context import RunContext
from thawline.runs.imbalance_note import imbalance_note, sizes_note

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=4")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=2")


def test_three_times_the_images_are_worth_a_line_with_the_command() -> None:
    note = sizes_note([30, 0, 10], ["cats", "none", "dogs"], "thawline imbalance=weights")
    assert note == (
        "cats has 30 training images, dogs 10 (3 times): small classes count little; to make all count alike: "
        "thawline imbalance=weights"
    )
    assert sizes_note([29, 10], ["cats", "dogs"], "") is None


def test_the_line_repeats_the_command_and_is_spared_where_it_was_answered(tmp_path: Path) -> None:
    source = SimpleNamespace(labels=np.array([0] * 9 + [1] * 3), class_names=("cats", "dogs"))
    data = SimpleNamespace(source=source, splits={"train": np.arange(12)})
    parts: Any = SimpleNamespace(data=data, settings=SimpleNamespace(imbalance="none"))

    def note(*overrides: str) -> str | None:
        return imbalance_note(parts, RunContext(tmp_path, overrides, {}, multirun=False))

    assert str(note("data.root='my cats'")).endswith("thawline 'data.root='\"'\"'my cats'\"'\"'' imbalance=weights")
    assert note("imbalance=none") is None
    assert note("resume=outputs/run") is None
    parts.settings.imbalance = "focal"
    assert note() is None


@pytest.fixture
def skewed(image_folder: Path) -> Path:
    """24 cats and 12 blue dogs, of which 6 are left."""
    for i in range(12, 24):
        Image.new("RGB", (32, 32), (200 - 5 * i, 60, 60)).save(image_folder / "cats" / f"{i:02}.png")
    for i in range(6):
        (image_folder / "dogs" / f"{i:02}.png").unlink()
    return image_folder


def test_the_sampler_the_score_that_selects_and_what_the_probabilities_mean(
    run_cli: Run, skewed: Path, tmp_path: Path
) -> None:
    result = run_cli("data=folder", f"data.root={skewed}", *TINY, "imbalance=sampler", "select=val/macro_f1")
    assert result.code == 0, result.err
    assert "count alike" not in result.out  # something is done about it
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["strategy"]["tested_weights"] == "val_macro_f1"
    assert "best by validation macro F1, epoch" in result.out
    keys = {f"{split}/{name}" for split in ("val", "test") for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    assert keys <= set(record["metrics"])
    assert record["calibration"]["prior"] == "equal"
    assert json.loads((folder / "model" / "model.json").read_text())["calibration"]["prior"] == "equal"
    assert "classes are equally frequent" in " ".join((folder / "model" / "README.md").read_text().split())
    events = EventAccumulator(str(folder)).Reload()
    assert {"val/macro_f1", "val/balanced_accuracy", "test/macro_f1"} <= set(events.Tags()["scalars"])
    assert len(record["curves"]["val/balanced_accuracy"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["weights", "focal", "logit_adjust"])
def test_every_way_trains(run_cli: Run, skewed: Path, tmp_path: Path, kind: str) -> None:
    result = run_cli("data=folder", f"data.root={skewed}", *TINY, f"imbalance={kind}")
    assert result.code == 0, result.err


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["stacked_probe", "multi_layer_probe", "blend"])
def test_what_is_solved_for_is_balanced_too(run_cli: Run, skewed: Path, tmp_path: Path, strategy: str) -> None:
    plain = run_cli("data=folder", f"data.root={skewed}", *TINY, f"strategy={strategy}")
    assert re.search(rf"to make all count alike: .* strategy={strategy} .*imbalance=weights", plain.out)
    result = run_cli("data=folder", f"data.root={skewed}", *TINY, f"strategy={strategy}", "imbalance=weights")
    assert result.code == 0, result.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("run.json")]
    assert len({record["metrics"]["test/loss"] for record in records}) == 2
    if strategy == "multi_layer_probe":
        assert {record["strategy"]["tested_weights"] for record in records} == {"val_accuracy", "val_balanced_accuracy"}

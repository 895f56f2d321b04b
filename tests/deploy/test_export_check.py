"""What counts as the same answers, and which images a run is checked on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.deploy.export_check import Agreement, accuracy, agreement, answered, latencies, together
from thawline.errors import UserError
from thawline.runs.run_images import RunImages

TRUTH = np.array([[0.7, 0.3], [0.49, 0.51], [0.2, 0.8]], np.float32)


def test_agreement_by_hand() -> None:
    assert agreement(TRUTH, TRUTH) == Agreement(3, 0, 0.0)
    got = TRUTH + np.array([[-0.1, 0.1], [0.02, -0.02], [0, 0]], np.float32)
    agreed = agreement(got, TRUTH)
    assert (agreed.images, agreed.labels_differ, agreed.good) == (3, 1, False)
    assert agreed.largest == pytest.approx(0.1, abs=1e-6)
    assert str(agreed) == "1 of 3 labels differ, largest difference of a probability 1.0e-01"


@pytest.mark.parametrize(("shift", "good"), [(0.0009, True), (0.0011, False), (np.nan, False)])
def test_a_probability_may_differ_by_less_than_a_thousandth(shift: float, good: bool) -> None:
    assert agreement(TRUTH - np.array([shift, 0], np.float32), TRUTH).good is good


def test_parts_count_together_and_batches_are_put_together_again() -> None:
    assert together([Agreement(2, 1, 0.1), Agreement(3, 0, 0.2)]) == Agreement(5, 1, 0.2)
    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
    assert answered(lambda x: x[:, :, 0, 0].astype(np.float32), images, batch=3)[:, 0].tolist() == list(range(7))
    assert accuracy(TRUTH, [0, 0, 1]) == pytest.approx(2 / 3)


def test_latencies_are_measured_in_turns() -> None:
    calls: list[str] = []
    first, second = latencies([lambda: calls.append("a"), lambda: calls.append("b")])
    assert calls[:6] == ["a", "b"] * 3
    assert first > 0 < second


def test_a_runs_images_are_those_of_its_splits(made: Callable[[str], Path]) -> None:
    images = RunImages(made("feature_extraction"))
    test, some = images.some("test", most=100), images.some("train", most=5)
    assert (test.number, some.number) == (21, 5)
    assert test.labels == [0] * 7 + [1] * 7 + [2] * 7
    assert some.what.startswith("5 of 36 training images of ")
    assert test.load(0).mode == "RGB"


def test_images_that_changed_or_come_from_other_code_are_not_taken(
    made: Callable[[str], Path], colour_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(made("feature_extraction"), tmp_path / "run"))
    moved = Path(shutil.copytree(colour_folder, tmp_path / "moved"))
    config = run / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace(str(colour_folder), str(moved)))
    assert RunImages(run).some("test", most=1).number == 1  # the same images elsewhere
    Image.new("RGB", (30, 30)).save(moved / "test" / "red" / "more.png")
    with pytest.raises(UserError, match=r"the images of .* have changed since the run"):
        RunImages(run)
    config.write_text(text.replace("thawline.data.sources.folder.FolderSource", "tests.evil.Source"))
    with pytest.raises(UserError, match=r"come from tests\.evil\.Source, code outside Thawline; add --trust"):
        RunImages(run)
    config.write_text(text.replace("    channels: null", "    channels: {_target_: os.system, command: 'false'}"))
    with pytest.raises(UserError, match=r"come from os\.system, code outside Thawline"):
        RunImages(run)
    config.unlink()
    with pytest.raises(UserError, match=r"is no run's folder: it holds no config\.yaml"):
        RunImages(run)

"""The files of a run for TensorBoard's projector: classes and answers belong to their images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.report.run_record import RunRecord, load_record
from thawline.runs.publish import publish

Made = Callable[[str], Path]
CHANNELS = ("red", "green", "blue")


@pytest.mark.parametrize("strategy", ["stacked_probe", "blend"])
def test_every_line_is_that_of_its_thumbnail_and_the_answers_are_those_of_the_test(made: Made, strategy: str) -> None:
    run = made(strategy)
    place = run / "projector" / "test_images"
    head, *lines = (place / "metadata.tsv").read_text().splitlines()
    assert head.split("\t") == ["true", "predicted", "right", "probability"]
    assert len(lines) == len((place / "tensors.tsv").read_text().splitlines()) == 21
    sprite = np.asarray(Image.open(place / "sprite.png").convert("RGB"), dtype=float)
    assert sprite.shape == (160, 160, 3)  # five in a row, of 32 pixels
    for number, line in enumerate(lines):
        row, column = (32 * at for at in divmod(number, 5))
        colour = sprite[row : row + 32, column : column + 32].mean((0, 1))
        assert line.startswith(f"{CHANNELS[int(colour.argmax())]}\t")
    right = [line.split("\t")[2] == "yes" for line in lines]
    accuracy = load_record(run / "run.json").metrics["test/accuracy"]
    assert sum(right) / len(right) == pytest.approx(accuracy, abs=1e-6)


def test_tensorboard_finds_them_beside_the_event_file_and_auto_takes_them_over(made: Made, tmp_path: Path) -> None:
    run = made("stacked_probe")
    text = (run / "projector_config.pbtxt").read_text()
    for name in ("tensors.tsv", "metadata.tsv", "sprite.png"):
        assert f'"projector/test_images/{name}"' in text
    publish(load_record(run / "run.json"), run, RunRecord(run_id="x", scenario="auto", seed=0), tmp_path)
    names = sorted(path.name for path in (tmp_path / "projector" / "test_images").iterdir())
    assert names == ["metadata.tsv", "sprite.png", "tensors.tsv"]
    assert (tmp_path / "projector_config.pbtxt").read_text() == text

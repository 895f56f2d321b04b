import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.report.run_record import load_record


def test_the_range_of_wide_images_is_recorded(run_cli, tiny_run: tuple[str, ...], tmp_path: Path) -> None:
    for name, high in (("a", 4000), ("b", 900)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            values = np.random.default_rng(i).integers(0, high, (32, 64), dtype=np.uint16)
            Image.fromarray(values).save(tmp_path / "images" / name / f"{i}.png")
    done = run_cli(
        *("scenario=small_similar", "data=folder", f"data.root={tmp_path / 'images'}", "model.name=test_resnet"),
        *("model.weights=none", *tiny_run),
    )
    assert done.code == 0, done.err
    (run,) = (tmp_path / "out").glob("*/*")
    assert load_record(run / "run.json").data.value_range == [0.0, 4095.0]
    model = json.loads((run / "model" / "model.json").read_text())
    assert model["preprocessing"]["value_range"] == [0.0, 4095.0]
    assert "Values of the images: 0 becomes black, 4095 white" in done.out
    assert "the centre crop drops more than a third of 16 of 16 images" in " ".join(done.out.split())


def test_a_range_and_channels_that_are_typed_are_taken(run_cli, tiny_run: tuple[str, ...], tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for name, high in (("a", 4000), ("b", 900)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            values = np.random.default_rng(i).integers(0, high, (32, 32, 5), dtype=np.uint16)
            path = tmp_path / "images" / name / f"{i}.tif"
            tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    done = run_cli(
        *("scenario=small_similar", "data=folder", f"data.root={tmp_path / 'images'}", "model.name=test_resnet"),
        *("model.weights=none", *tiny_run, "data.value_range=[0,3000]", "data.channels=[4,2,0]"),
    )
    assert done.code == 0, done.err
    (run,) = (tmp_path / "out").glob("*/*")
    preprocessing = json.loads((run / "model" / "model.json").read_text())["preprocessing"]
    assert (preprocessing["value_range"], preprocessing["channels"]) == ([0.0, 3000.0], [4, 2, 0])

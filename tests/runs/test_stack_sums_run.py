"""strategy=stacked_probe for more images than the memory holds the features of: sums are kept in their place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import thawline
from thawline.features import sums_probe
from thawline.features.decide import Need
from thawline.features.left_out_answers import LeftOutAnswers
from thawline.runs import sums_pass
from thawline.runs.sums_pass import of_the_kept
from thawline.settings.cache_settings import CacheSettings

Run = Callable[..., Any]
TINY = ("strategy=stacked_probe", "model.name=test_resnet", "model.weights=none", "model.image_size=32")
TINY += ("data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.precision=32-true")
KEPT = 24


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """60 dark and 60 light images; shades of the classes overlap a little."""
    root = tmp_path / "shades"
    for split, number in (("train", 36), ("val", 12), ("test", 12)):
        for label, name in enumerate(("dark", "light")):
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                shade = 60 + 110 * i // number + 80 * label
                Image.new("RGB", (32, 32), (shade, 60 + len(split), i)).save(root / split / name / f"{i:02}.png")
    return root


def test_a_run_keeps_sums_and_its_model_answers_as_in_the_test(
    run_cli: Run, shades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums_pass, "MOST_STORED", 0)
    monkeypatch.setattr(sums_pass, "KEPT", KEPT)
    monkeypatch.setattr(sums_probe, "NUM_LANDMARKS", 16)
    result = run_cli("data=folder", f"data.root={shades}", *TINY, "strategy.feature_stages=[-2,-1]")
    assert result.code == 0, result.err
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert "sums are kept of all 96 images, and the features of 30" in record["cache"]["reason"]
    assert record["data"]["num_train"] == 72
    assert (record["expected"]["images"], record["expected"]["by"]) == (30, "5 folds")
    assert record["strategy"]["tested_weights"] == "refit"
    assert record["metrics"]["val/accuracy"] > 0.6
    answers = LeftOutAnswers.load(folder)
    assert len(answers.images) == 30
    model = thawline.load(folder, accelerator="cpu")
    files = [shades / "test" / name / f"{i:02}.png" for name in ("dark", "light") for i in range(12)]
    right = [answer.label == path.parent.name for answer, path in zip(model.predict(files), files, strict=True)]
    assert sum(right) / len(right) == pytest.approx(record["metrics"]["test/accuracy"])


def need(*, num_train: int, num_val: int, row_bytes: int) -> Need:
    return Need(3, row_bytes, num_train, num_val, num_train, random_views=False, mixing=False, required=True)


def test_features_of_all_images_are_kept_as_long_as_memory_and_cache_hold_them() -> None:
    row, cache = 21_440, CacheSettings(dir="unused")  # bytes of an image at the stages of EfficientNet-Lite0
    assert of_the_kept(need(num_train=23_000, num_val=4_500, row_bytes=row), cache) is None
    few = of_the_kept(need(num_train=100_000, num_val=20_000, row_bytes=row), cache)
    assert few is not None
    assert (few.num_train, few.num_val) == (4096, 1024)
    small = CacheSettings(dir="unused", max_gb=0.1)
    few = of_the_kept(need(num_train=5_000, num_val=500, row_bytes=row), small)
    assert few is not None
    assert (few.num_train, few.num_val) == (4096, 500)


def test_fewer_images_are_kept_of_wide_stages() -> None:
    few = of_the_kept(need(num_train=10_000, num_val=2_000, row_bytes=300_000), CacheSettings(dir="unused"))
    assert few is not None
    assert 768 < few.num_train < 4096
    assert few.num_train * 300_000 <= sums_pass.MOST_STORED

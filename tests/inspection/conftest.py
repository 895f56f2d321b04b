"""A folder of images with planted faults, and its inspection."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.inspection.inspected import Inspected, inspected


def scene(seed: int, *, side: int = 48) -> Image.Image:
    """A smooth picture in colour that no other seed gives."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 20 images, c of four, in train; six of a and b in test; with one fault of each kind."""
    root = tmp_path_factory.mktemp("faulty")
    seed = 0
    for split, sizes in (("train", {"a": 20, "b": 20, "c": 4}), ("test", {"a": 6, "b": 6})):
        for name, number in sizes.items():
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                scene(seed).save(root / split / name / f"{i:02}.png")
                seed += 1
    shutil.copy(root / "train/a/00.png", root / "train/a/exact.png")
    scene(1).resize((32, 32)).save(root / "train/a/small.png")
    shutil.copy(root / "train/a/02.png", root / "train/b/conflict.png")
    scene(3).save(root / "test/a/leak.bmp")
    (root / "train/a/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (48, 48), (3, 3, 3)).save(root / "train/b/black.png")
    scene(100).point(lambda level: level // 8).save(root / "train/b/dark.png")
    scene(101).resize((48, 96)).save(root / "train/b/tall.png")
    scene(102).convert("L").save(root / "train/b/grey.png")
    scene(103).save(root / "train/b/jpeg.png", "JPEG")
    return root


@pytest.fixture(scope="session")
def files_only(faulty: Path) -> Inspected:
    return inspected(faulty)

"""Crops: aligned by hand-made pictures, found among others by a backbone's features, and told as issues."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thawline.inspection.crops import SIDE, alignment, crops_among
from thawline.inspection.inspected import Inspected, inspected
from thawline.inspection.judged_images import ModelChoice

NUMBER = 12


def picture(seed: int, *, side: int = 160) -> Image.Image:
    """Blots of several sizes."""
    rng = np.random.default_rng(seed)
    levels = np.zeros((side, side))
    for cells in (6, 14, 30):
        blots = Image.fromarray(rng.integers(0, 255, (cells, cells), dtype=np.uint8))
        levels += np.asarray(blots.resize((side, side), Image.Resampling.BICUBIC)) / 3
    return Image.fromarray(levels.astype(np.uint8))


def crop(image: Image.Image, share: float, *, left: float, top: float) -> Image.Image:
    side = image.width
    x, y = left * side, top * side
    return image.resize((side, side), Image.Resampling.BICUBIC, (x, y, x + share * side, y + share * side))


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def test_a_part_of_itself_correlates_and_no_other() -> None:
    whole = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    small = torch.nn.functional.avg_pool2d(whole[None, None], 3, 1, 1)[0, 0]  # smooth enough to be resized
    inner = torch.nn.functional.interpolate(small[None, None, 3:59, 5:61], SIDE, mode="bilinear")[0, 0]
    other = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    values = alignment(inner, torch.stack([small, other]))
    assert values[0] > 0.95
    assert values[1] < 0.3
    assert alignment(torch.zeros(SIDE, SIDE), small[None]).tolist() == [0.0]  # nothing is like nothing


@pytest.mark.parametrize(("share", "left", "top"), [(0.9, 0.05, 0.05), (0.9, 0.0, 0.1), (0.8, 0.17, 0.03)])
def test_a_crop_is_found_and_which_is_the_whole(share: float, left: float, top: float) -> None:
    pictures = [picture(seed) for seed in range(NUMBER)]
    pictures.append(crop(pictures[4], share, left=left, top=top))
    features = torch.randn(NUMBER + 1, 8, generator=torch.Generator().manual_seed(0))
    features[NUMBER] = features[4] + 0.1
    grey = [levels(image) for image in pictures]
    found = crops_among(features, np.arange(NUMBER + 1), grey.__getitem__)
    assert (found.inner.tolist(), found.outer.tolist()) == ([NUMBER], [4])
    assert found.likeness[0] > 0.9
    families = np.arange(NUMBER + 1)
    families[NUMBER] = 4  # copies for another reason already
    assert not len(crops_among(features, families, grey.__getitem__).inner)


def test_images_of_one_scene_and_few_images_are_no_crops() -> None:
    scene = picture(0)
    moved = [Image.blend(scene, picture(seed), 0.5) for seed in (1, 2, 3)]
    grey = [levels(image) for image in moved]
    assert not len(crops_among(torch.eye(3), np.arange(3), grey.__getitem__).inner)
    assert not len(crops_among(torch.ones(1, 4), np.arange(1), grey.__getitem__).inner)


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    root = tmp_path_factory.mktemp("cropped")
    for split, name, first in (("train", "a", 0), ("train", "b", 20), ("test", "a", 40), ("test", "b", 60)):
        (root / split / name).mkdir(parents=True)
        for seed in range(first, first + 8):
            picture(seed).save(root / split / name / f"{seed}.png")
    crop(picture(1), 0.9, left=0.02, top=0.08).save(root / "train/a/inside.png")
    crop(picture(22), 0.9, left=0.02, top=0.08).save(root / "train/a/conflict.png")
    crop(picture(3), 0.9, left=0.02, top=0.08).save(root / "test/a/leak.png")
    choice = ModelChoice("test_resnet", "none", 64, "cpu", "32-true", str(Path(root.parent) / "crops_cache"))
    return inspected(root, model=choice)


def test_crops_are_copies_conflicts_and_leaks(cropped: Inspected) -> None:
    said = {
        (one.kind, cropped.listing.shown(one.image)): (one.detail, one.suggestion)
        for one in cropped.issues
        if one.kind in ("copy", "label_conflict", "leakage") and one.image is not None
    }
    assert said == {
        ("copy", "train/a/inside.png"): ("a crop of train/a/1.png", "leave it out"),
        ("label_conflict", "train/a/conflict.png"): (
            "a crop of train/b/22.png, which is b",
            "one of the two labels is wrong: leave out that image",
        ),
        ("label_conflict", "train/b/22.png"): (
            "the whole of its crop train/a/conflict.png, which is a",
            "one of the two labels is wrong: leave out that image",
        ),
        ("leakage", "train/a/3.png"): (
            "the whole of its crop test/a/leak.png in test",
            "leave it out, or move both into one split",
        ),
    }

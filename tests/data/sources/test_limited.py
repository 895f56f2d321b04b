from pathlib import Path

import numpy as np
import pytest

from thawline.data.sources.folder import FolderSource
from thawline.data.sources.folder_index import Index
from thawline.data.sources.limited import limited
from thawline.errors import UserError


def index(sizes: list[int], parts: list[int] | None = None) -> Index:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"c{i}" for i in range(len(sizes))]
    paths = np.array([f"{i}.png" for i in range(len(labels))])
    return Index(names, paths, labels, None if parts is None else np.array(parts))


def counts(index: Index) -> list[int]:
    return np.bincount(index.labels, minlength=len(index.class_names)).tolist()


def test_classes_stay_in_proportion() -> None:
    # 1 each, then 17 of the remaining 59, 29 and 9 by largest remainder: 10.34, 5.08, 1.58.
    assert counts(limited(index([60, 30, 10]), max_images=20, max_per_class=None, seed=0)) == [11, 6, 3]


def test_at_most_so_many_of_every_class() -> None:
    assert counts(limited(index([60, 30, 10]), max_images=None, max_per_class=20, seed=0)) == [20, 20, 10]


def test_given_splits_stay_in_proportion() -> None:
    parts = ([0] * 20 + [2] * 10) * 2
    some = limited(index([30, 30], parts), max_images=12, max_per_class=None, seed=0)
    assert {split: len(images) for split, images in some.splits().items()} == {"train": 8, "test": 4}


def test_the_seed_decides() -> None:
    def paths(seed: int) -> list[str]:
        return limited(index([50, 50]), max_images=10, max_per_class=None, seed=seed).paths.tolist()

    assert paths(0) == paths(0) != paths(1)


def test_a_limit_above_the_number_changes_nothing() -> None:
    assert counts(limited(index([5, 5]), max_images=100, max_per_class=50, seed=0)) == [5, 5]


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "10"])
def test_wrong_limits_are_refused(value: object) -> None:
    with pytest.raises(
        UserError, match=r"data.max_images=.*: allowed are whole numbers from 1, or null for all images"
    ):
        limited(index([5, 5]), max_images=value, max_per_class=None, seed=0)  # type: ignore[arg-type]


def test_too_low_a_limit_is_refused() -> None:
    with pytest.raises(UserError, match=r"data.max_images=2: too few; at least 3 are needed for one of every class"):
        limited(index([5, 5, 5]), max_images=2, max_per_class=None, seed=0)


def test_only_the_images_that_are_taken_are_read(image_folder: Path) -> None:
    source = FolderSource(root=image_folder, max_per_class=4)
    assert len(source.labels) == 8
    assert source.fingerprint() != FolderSource(root=image_folder).fingerprint()

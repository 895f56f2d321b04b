import numpy as np
import pytest

from thawline.data.sources.subset import (
    checked_subset,
    consecutive_splits,
    evenly_spread,
    largest_remainder,
    place_in_split,
    stratified_subset,
)
from thawline.errors import UserError

LABELS = np.repeat([0, 1, 2], [5, 3, 2])


def test_counts_by_hand() -> None:
    # 4 of 10 over 5, 3, 2: shares 2.0, 1.2, 0.8 -> 2, 1, 0, and the one still missing goes to 0.8.
    rows = stratified_subset(LABELS, 4, seed=0)
    np.testing.assert_array_equal(np.bincount(LABELS[rows], minlength=3), [2, 1, 1])


def test_tie_goes_to_the_lower_class() -> None:
    labels = np.repeat([0, 1], [4, 4])
    np.testing.assert_array_equal(np.bincount(labels[stratified_subset(labels, 3, seed=0)]), [2, 1])


def test_equal_remainders_tie_whatever_the_sizes() -> None:
    # 4 of 40: shares 0.3, 1.3, 2.4, then 0.3, 1.3, 2.2, 0.2; in floating point 13 * 0.1 has the larger remainder.
    np.testing.assert_array_equal(largest_remainder(np.array([3, 13, 24]), 4), [0, 1, 3])
    np.testing.assert_array_equal(largest_remainder(np.array([3, 13, 22, 2]), 4), [1, 1, 2, 0])
    np.testing.assert_array_equal(largest_remainder(np.array([0, 0]), 0), [0, 0])


def test_an_image_has_one_place_in_consecutive_splits() -> None:
    splits = consecutive_splits(num_train=3, num_val=0, num_test=2)
    places = [place_in_split(splits, index) for index in range(5)]
    assert places == [("train", 0), ("train", 1), ("train", 2), ("test", 0), ("test", 1)]
    with pytest.raises(IndexError, match="image 5 of 5"):
        place_in_split(splits, 5)


@pytest.mark.parametrize("num_images", range(1, 11))
def test_exact_total_without_repeats_and_ascending(num_images: int) -> None:
    rows = stratified_subset(LABELS, num_images, seed=1)
    assert len(rows) == num_images
    assert (np.diff(rows) > 0).all()
    assert rows.dtype == np.int64


def test_seed_decides() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 200)
    first = stratified_subset(labels, 50, seed=3)
    np.testing.assert_array_equal(first, stratified_subset(labels, 50, seed=3))
    assert not np.array_equal(first, stratified_subset(labels, 50, seed=4))


def test_out_of_range() -> None:
    for num_images in (0, 11):
        with pytest.raises(ValueError, match="allowed are 1 to 10"):
            stratified_subset(LABELS, num_images, seed=0)
    with pytest.raises(UserError, match=r"num_images=3: made allows 4 to 10, or null"):
        checked_subset(LABELS, 3, seed=0, minimum=4, source="made")
    with pytest.raises(UserError, match="subset_seed=-1"):
        checked_subset(LABELS, None, seed=-1, minimum=4, source="made")
    np.testing.assert_array_equal(checked_subset(LABELS, None, seed=0, minimum=4, source="made"), np.arange(10))


def test_consecutive_splits() -> None:
    splits = consecutive_splits(num_train=3, num_val=0, num_test=2)
    assert {split: list(indices) for split, indices in splits.items()} == {"train": [0, 1, 2], "test": [3, 4]}
    with pytest.raises(UserError, match="num_train=0: give a whole number of 1 or more"):
        consecutive_splits(num_train=0, num_val=1, num_test=1)
    with pytest.raises(UserError, match="num_test=-1"):
        consecutive_splits(num_train=1, num_val=1, num_test=-1)


def test_places_are_evenly_spread() -> None:
    assert evenly_spread(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spread(3, 400).tolist() == [0, 1, 2]
    assert evenly_spread(0, 4).tolist() == []

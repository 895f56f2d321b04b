"""Splits by hand: stratified, disjoint, whole groups, fixed by the seed."""

import numpy as np
import pytest

from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.data.splits import complete_splits, group_leaders, stratified_counts
from thawline.errors import UserError


def split(
    labels: IntArray, groups: IntArray | None = None, *, seed: int = 0, **given: IntArray
) -> dict[Split, IntArray]:
    return complete_splits(
        given,  # type: ignore[arg-type]
        labels=labels,
        groups=np.arange(len(labels)) if groups is None else groups,
        class_names=[f"c{k}" for k in range(int(labels.max()) + 1)],
        val_fraction=0.15,
        test_fraction=0.15,
        seed=seed,
    )


def test_the_leader_of_a_group_is_its_first_image_in_the_pool() -> None:
    assert group_leaders(np.array([4, 1, 2, 0]), np.array([7, 5, 7, 9, 7])).tolist() == [4, 1]


def test_800_images_in_4_uneven_classes_give_560_120_120() -> None:
    labels = np.repeat(np.arange(4), [460, 90, 32, 218])
    splits = split(labels)
    assert [len(splits[s]) for s in SPLITS] == [560, 120, 120]
    assert sorted(np.concatenate(list(splits.values()))) == list(range(800))  # disjoint and complete
    assert np.bincount(labels[splits["test"]]).tolist() == [
        69,
        13,
        5,
        33,
    ]  # 0.15 x 460, 90, 32, 218: 69, 13.5, 4.8, 32.7


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    labels = np.arange(100) % 4
    assert np.array_equal(split(labels)["test"], split(labels)["test"])
    assert not np.array_equal(split(labels)["test"], split(labels, seed=1)["test"])


def test_given_splits_stay_and_a_missing_val_comes_off_train() -> None:
    labels = np.arange(100) % 2
    train, test = np.arange(80), np.arange(80, 100)
    splits = split(labels, train=train, test=test)
    assert np.array_equal(splits["test"], test)
    assert len(splits["val"]) == 12  # 0.15 x 80
    assert set(splits["val"]) | set(splits["train"]) == set(train)


def test_copies_of_an_image_stay_in_one_split() -> None:
    labels = np.arange(60) % 2
    groups = np.arange(60) // 4 * 2 + labels  # two copies of every image
    splits = split(labels, groups)
    owners = [set(groups[splits[s]]) for s in SPLITS]
    assert len(set.union(*owners)) == sum(len(owner) for owner in owners)
    assert sum(len(splits[s]) for s in SPLITS) == 60


@pytest.mark.parametrize("count", [1, 2])
def test_a_class_with_too_few_images_is_named(count: int) -> None:
    labels = np.array([0] * 10 + [1] * count)
    with pytest.raises(UserError, match=f"class 'c1' has {count} distinct images?; at least 3 are needed"):
        split(labels)


def test_a_class_in_too_few_groups_is_named() -> None:
    labels = np.array([0] * 10 + [1] * 4)
    groups = np.array([*range(10), 20, 20, 21, 21])
    with pytest.raises(UserError, match="all images of class 'c1' lie in 2 groups of images that belong together"):
        split(labels, groups)


def test_groups_of_several_classes_stay_whole_and_every_split_has_every_class() -> None:
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 40, 600))
    labels = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    splits = split(labels, groups)
    owners = [set(groups[splits[s]]) for s in SPLITS]
    assert sum(len(owner) for owner in owners) == len(set.union(*owners)) == 40
    assert np.array_equal(np.sort(np.concatenate([splits[s] for s in SPLITS])), np.arange(600))
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        shares = np.bincount(labels[splits[name]], minlength=3) / np.bincount(labels)
        assert np.abs(shares - share).max() < 0.06
    again = split(labels, groups)
    assert all(np.array_equal(splits[s], again[s]) for s in SPLITS)


def test_a_rare_class_in_mixed_groups_is_in_every_split() -> None:
    groups = np.repeat(np.arange(30), 10)
    labels = np.where((groups < 3) & (np.arange(300) % 10 == 0), 1, 0)
    splits = split(labels, groups)
    assert all((labels[splits[s]] == 1).any() for s in SPLITS)


def test_a_class_with_three_images_has_one_in_each_split() -> None:
    labels = np.array([0] * 40 + [1] * 3)
    splits = split(labels)
    assert [int((labels[splits[s]] == 1).sum()) for s in SPLITS] == [1, 1, 1]


def test_stratified_counts_by_hand() -> None:
    counts = stratified_counts(np.array([10, 5, 0, 1]), 4, leave=1)  # exact shares 2.5, 1.25, 0, 0.25
    assert counts.tolist() == [3, 1, 0, 1]


def test_stratified_counts_keep_what_a_class_must_keep() -> None:
    assert stratified_counts(np.array([3, 6, 1]), 10, leave=2).tolist() == [1, 4, 1]  # at least 1 goes, all the same

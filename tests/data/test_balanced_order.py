"""How often each class and each image comes in an epoch that balances the classes."""

import numpy as np
import pytest
import torch

from thawline.data.balanced_order import balanced_order, weighted_order
from thawline.data.dataset import EpochSampler

LABELS = np.array([0] * 40 + [1] * 15 + [2] * 5)  # 60 images: each class comes 20 times


def test_every_class_comes_equally_often() -> None:
    positions, repeats = balanced_order(LABELS, np.random.default_rng(0))
    assert np.bincount(LABELS[positions]).tolist() == [20, 20, 20]
    times = np.bincount(positions, minlength=60)
    assert set(times[:40]) == {0, 1}  # half of the large class
    assert set(times[40:55]) == {1, 2}
    assert set(times[55:]) == {4}
    for position in set(positions.tolist()):
        assert sorted(repeats[positions == position]) == list(range(times[position]))


def test_what_does_not_divide_goes_to_other_classes_each_time() -> None:
    labels = np.array([0] * 6 + [1] * 1 + [3] * 1)  # class 2 has no image
    counts = [np.bincount(labels[balanced_order(labels, np.random.default_rng(seed))[0]]) for seed in range(20)]
    assert {tuple(sorted(of_epoch[[0, 1, 3]])) for of_epoch in counts} == {(2, 3, 3)}
    assert len({tuple(of_epoch) for of_epoch in counts}) == 3


def test_all_images_of_a_large_class_come_in_the_long_run() -> None:
    sampler = EpochSampler(60, shuffle=True, seed=0, balance=LABELS)
    times = np.zeros(60)
    for epoch in range(300):
        sampler.set_epoch(epoch)
        times += np.bincount([index for _, index in sampler], minlength=60)
    assert times[:40] / 300 == pytest.approx(np.full(40, 0.5), abs=0.15)  # five standard errors


def test_an_image_that_comes_again_in_an_epoch_has_another_key_and_so_another_view() -> None:
    keys = list(EpochSampler(60, shuffle=True, seed=0, balance=LABELS))
    assert len(keys) == len(set(keys)) == 60
    assert keys == list(EpochSampler(60, shuffle=True, seed=0, balance=LABELS))  # also of a resumed run
    views = [{epoch % 4 for epoch, index in keys if index == rare} for rare in range(55, 60)]
    assert views == [{0, 1, 2, 3}] * 5  # of four that are stored


def test_processes_share_the_order_of_one() -> None:
    whole = list(EpochSampler(60, shuffle=True, seed=3, balance=LABELS))
    parts = [EpochSampler(60, shuffle=True, seed=3, rank=r, world_size=2, even=True, balance=LABELS) for r in (0, 1)]
    assert torch.tensor(whole)[0::2].tolist() == [list(key) for key in parts[0]]
    assert torch.tensor(whole)[1::2].tolist() == [list(key) for key in parts[1]]


WEIGHTS = np.array([0.25, 1.0, 1.0, 1.5, 4.25])  # of 5 images, with the sum 8


def test_images_come_in_proportion_to_their_weights() -> None:
    shares = WEIGHTS * 5 / 8
    times = np.zeros(5)
    for seed in range(400):
        positions, repeats = weighted_order(WEIGHTS, np.random.default_rng(seed))
        of_epoch = np.bincount(positions, minlength=5)
        assert of_epoch.sum() == 5
        assert np.all((of_epoch == np.floor(shares)) | (of_epoch == np.ceil(shares)))
        assert sorted(zip(positions, repeats, strict=True)) == [(i, k) for i in range(5) for k in range(of_epoch[i])]
        times += of_epoch
    assert times / 400 == pytest.approx(shares, abs=0.13)  # five standard errors


def test_equal_weights_take_every_image_once_and_balanced_classes_weigh_inside_a_class() -> None:
    sampler = EpochSampler(60, shuffle=True, seed=0, weights=np.full(60, 0.1))
    assert sorted(sampler) == [(0, index) for index in range(60)]
    weights = np.where(np.arange(60) < 20, 3.0, 1.0)  # of the 40 of the first class, which come 20 times
    times = np.zeros(60)
    for seed in range(200):
        positions, _ = balanced_order(LABELS, np.random.default_rng(seed), weights=weights)
        assert np.bincount(LABELS[positions]).tolist() == [20, 20, 20]
        times += np.bincount(positions, minlength=60)
    assert times[:20].sum() / 200 == pytest.approx(15, abs=0.7)  # five standard errors

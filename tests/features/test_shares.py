"""Shares of an average have the highest likelihood, with one image added that all classifiers explain alike."""

import math

import numpy as np
import torch
from scipy.optimize import minimize

from thawline.features.shares import fit_shares

EVEN = torch.ones(40, dtype=torch.float64)


def test_they_are_the_maximum_that_another_optimizer_finds() -> None:
    right = torch.rand(3, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = fit_shares(right, EVEN)

    def loss(free: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        w = np.exp(free) / np.exp(free).sum()
        return float(-np.log(w @ right.numpy()).sum() - np.log(w).sum() / 3)

    best = minimize(loss, np.zeros(3), tol=1e-10)
    np.testing.assert_allclose(shares, np.exp(best.x) / np.exp(best.x).sum(), atol=1e-4)
    assert math.isclose(float(shares.sum()), 1.0)


def test_two_that_are_never_right_together_share_by_how_often_they_are() -> None:
    right = torch.zeros(2, 40, dtype=torch.float64)
    right[0, :30], right[1, 30:] = 1.0, 1.0
    torch.testing.assert_close(fit_shares(right, EVEN), torch.tensor([30.5, 10.5], dtype=torch.float64) / 41)


def test_equal_classifiers_share_alike_and_a_useless_one_keeps_a_trace() -> None:
    right = torch.full((3, 40), 0.8, dtype=torch.float64)
    right[2] = 1e-9
    shares = fit_shares(right, EVEN)
    assert math.isclose(shares[0], shares[1])
    assert math.isclose(float(shares[2]), 1 / 3 / 41, rel_tol=1e-3)

"""The temperature has the lowest log loss, and stays finite where no score is wrong."""

import math

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

from thawline.features.temperature import fit_temperature, log_loss

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.randint(4, (200,), generator=GENERATOR)
SCORES = 0.5 * F.one_hot(LABELS, 4).double() + torch.randn(200, 4, generator=GENERATOR, dtype=torch.float64)
EVEN = torch.ones(200, dtype=torch.float64)


def penalised(factor: float) -> float:
    log_p = (factor * SCORES).log_softmax(1)
    return float(F.cross_entropy(factor * SCORES, LABELS) - 0.5 / 200 * log_p.mean())


def test_it_is_the_minimum_that_a_search_finds() -> None:
    best = minimize_scalar(penalised, bounds=(0.01, 10.0), method="bounded", options={"xatol": 1e-8})
    for start in (0.01, 5.0, 1000.0):
        factor, loss = fit_temperature(SCORES, LABELS, EVEN, start=start)
        assert math.isclose(factor, best.x, rel_tol=1e-3)
        assert math.isclose(loss, best.fun, rel_tol=1e-6)


def test_scores_that_are_scaled_by_five_come_back_to_the_same_probabilities() -> None:
    one, five = (fit_temperature(scale * SCORES, LABELS, EVEN)[0] for scale in (1.0, 5.0))
    torch.testing.assert_close((one * SCORES).softmax(1), (five * 5.0 * SCORES).softmax(1), atol=1e-4, rtol=1e-3)


def test_scores_without_an_error_leave_a_doubt_that_shrinks_with_the_images() -> None:
    doubts = []
    for num in (10, 1000):
        labels = torch.arange(num) % 2
        scores = F.one_hot(labels, 2).double()
        factor, _ = fit_temperature(scores, labels, torch.ones(num, dtype=torch.float64))
        doubts.append(float(1 - (factor * scores).softmax(1).max(1).values.mean()))
    # Half an image of both classes: with p the probability of the wrong one, (N + 1/4) log(1 - p) + 1/4 log p is
    # largest at p = 1/4 / (N + 1/2).
    for doubt, num in zip(doubts, (10, 1000), strict=True):
        assert math.isclose(doubt, 0.25 / (num + 0.5), rel_tol=1e-3)


def test_weights_count_rows_more_than_once() -> None:
    twice = torch.cat([torch.arange(200), torch.arange(50)])
    weights = torch.ones(200, dtype=torch.float64)
    weights[:50] = 2
    log_p = SCORES.log_softmax(1)
    weighted = log_loss(log_p, LABELS, weights * 200 / 250)
    assert math.isclose(float(weighted), float(F.cross_entropy(SCORES[twice], LABELS[twice])), rel_tol=1e-9)


def test_equal_scores_need_no_temperature() -> None:
    factor, loss = fit_temperature(torch.zeros(6, 3, dtype=torch.float64), torch.arange(6) % 3, EVEN[:6])
    assert math.isfinite(factor)
    assert math.isclose(loss, (1 + 0.5 / 6) * math.log(3))

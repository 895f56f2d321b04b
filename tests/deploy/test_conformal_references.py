"""Thresholds of prediction sets against NumPy's quantile, and against torchcp where it is installed."""

import math

import numpy as np
import pytest
import torch

from thawline.deploy.calibration import Judged, calibrate, set_threshold
from thawline.deploy.prediction_sets import in_set


def answers(number: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (N, K), float64, and classes (N,)."""
    generator = torch.Generator().manual_seed(number)
    scores = 2 * torch.randn(number, classes, generator=generator).double()
    return scores, torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("number", [9, 10, 19, 200, 1001])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_threshold_is_a_quantile_of_the_misses(number: int, coverage: float) -> None:
    scores, labels = answers(number, 4)
    right = scores.softmax(1).gather(1, labels[:, None])[:, 0]
    level = math.ceil((number + 1) * coverage) / number
    misses = 1 - right.numpy()
    expected = 0.0 if level > 1 else 1 - np.quantile(misses, level, method="inverted_cdf")
    assert set_threshold(right, coverage=coverage) == pytest.approx(expected, abs=1e-12)


def test_torchcp_makes_the_same_sets() -> None:
    predictors = pytest.importorskip("torchcp.classification.predictor", exc_type=ImportError)
    lac = pytest.importorskip("torchcp.classification.score", exc_type=ImportError).LAC
    known, labels = answers(500, 6)
    new, _ = answers(200, 6)
    calibration = calibrate(Judged(known.log_softmax(1), labels, by="validation"))
    predictor = predictors.SplitPredictor(lac(score_type="softmax"))
    predictor.calculate_threshold(calibration.temperature * known, labels, 0.1)
    expected = predictor.predict_with_logits(calibration.temperature * new).bool()
    p = (calibration.temperature * new).softmax(1)
    expected = expected.scatter(1, p.argmax(1, keepdim=True), True)  # Thawline always names the likeliest class
    assert calibration.set_threshold is not None
    assert torch.equal(in_set(p, calibration.set_threshold - 1e-12), expected)  # 1 - (1 - p) rounds

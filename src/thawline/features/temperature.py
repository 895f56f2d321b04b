"""The temperature that makes scores probabilities: softmax(temperature * scores), fitted by log loss."""

from torch import Tensor

_UNSURE = 0.5  # images of every class in equal parts that are added, so that scores without an error have an optimum
_MAX_STEPS = 30  # Newton's method takes 4 to 8
_TOLERANCE = 1e-4  # relative change of the temperature in the last step; the loss then changes by its square
_FARTHEST = 4.0  # factor by which one step may change the temperature


def fit_temperature(scores: Tensor, labels: Tensor, weights: Tensor, *, start: float = 5.0) -> tuple[float, float]:
    """The temperature with the lowest log loss, and that loss in nats; a convex problem, solved by Newton's method.

    Half an image that belongs to all classes alike is added to the loss.

    Args:
        scores: (N, K), float64.
        labels: Class indices, (N,), int64.
        weights: Of the rows, (N,), mean 1.
        start: Where the search starts; > 0.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; here a factor, there its inverse.
    """
    share = _UNSURE / len(labels)
    goal = (weights * scores.gather(1, labels[:, None])[:, 0]).mean() + share * scores.mean()
    factor = start
    for _ in range(_MAX_STEPS):
        p = (factor * scores).softmax(1)
        mean = (p * scores).sum(1)
        spread = (p * scores.square()).sum(1) - mean.square()
        slope = (weights * mean).mean() + share * mean.mean() - goal
        curvature = (weights * spread).mean() + share * spread.mean()
        step = factor - float(slope / curvature) if float(curvature) > 0 else factor
        last, factor = factor, min(max(step, factor / _FARTHEST), factor * _FARTHEST)
        if abs(factor - last) <= _TOLERANCE * last:
            break
    return factor, float(log_loss((factor * scores).log_softmax(1), labels, weights) + share * _unsure(scores, factor))


def log_loss(log_probabilities: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of -log p of the right class, in nats; log_probabilities (N, K)."""
    return -(weights * log_probabilities.gather(1, labels[:, None])[:, 0]).mean()


def _unsure(scores: Tensor, factor: float) -> Tensor:
    return -(factor * scores).log_softmax(1).mean()

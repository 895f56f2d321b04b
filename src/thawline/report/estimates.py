"""Means over seeds with their intervals, and differences of runs with the same seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000  # chosen, not measured
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its bootstrap interval of 95 %; there is no interval for fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    num: int

    def text(self, *, signed: bool = False) -> str:
        """Such as `0.714 (0.702 to 0.731)`."""
        mark = "+" if signed else ""
        if math.isnan(self.mean):
            return "-"
        bounds = "" if self.low is None else f" ({self.low:{mark}.3f} to {self.high:{mark}.3f})"
        return f"{self.mean:{mark}.3f}{bounds}"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and percentile bootstrap (Efron 1979) of the values that are not NaN; rough for a few seeds."""
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) == 0:
        return Estimate(math.nan, None, None, 0)
    mean = float(known.mean())
    if len(known) == 1:
        return Estimate(mean, None, None, 1)
    if np.ptp(known) == 0:
        return Estimate(mean, mean, mean, len(known))
    from scipy.stats import bootstrap  # slow to load

    interval = bootstrap(
        (known,), np.mean, n_resamples=_RESAMPLES, confidence_level=_CONFIDENCE, method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Estimate(mean, float(interval.low), float(interval.high), len(known))


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate:
    """Mean of value minus baseline over the common seeds; both arguments are seed -> value."""
    return estimate([value - baseline[seed] for seed, value in values.items() if seed in baseline])


def pareto_front(costs: Sequence[float], scores: Sequence[float], *, higher_is_better: bool = True) -> list[bool]:
    """Whether each point is not dominated: no other costs at most as much and scores at least as well, and is better in
    one of the two. False if the cost is NaN."""
    sign = 1.0 if higher_is_better else -1.0
    points = [(cost, sign * score) for cost, score in zip(costs, scores, strict=True)]

    def dominated(cost: float, score: float) -> bool:
        return any(c <= cost and s >= score and (c < cost or s > score) for c, s in points)

    return [not math.isnan(cost) and not dominated(cost, score) for cost, score in points]

"""How well shares of right answers are known, and whether two of them differ."""

import math

# If accuracies on rows that were left out and on the validation images differ by more standard errors, new images are
# not like the training images: near-copies, or another time and place. By chance it happens once in 370 times.
SHIFTED_FROM = 3.0


def wilson_interval(share: float, num: int, *, confidence: float) -> tuple[float, float]:
    """Bounds of a proportion that is `share` of `num` independent trials (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to load

    interval = binomtest(round(share * num), num).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def standard_errors_apart(share: float, num: int, *, other: float, num_others: int) -> float:
    """Difference of two shares of right answers in standard errors: the two-proportion z."""
    pooled = (share * num + other * num_others) / (num + num_others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / num + 1 / num_others))
    return (share - other) / error if error else 0.0

"""How well shares of right answers are known, and whether two of them differ."""

import math
from dataclasses import dataclass

# If accuracies on rows that were left out and on the validation images differ by more standard errors, new images are
# not like the training images: near-copies, or another time and place. By chance it happens once in 370 times.
SHIFTED_FROM = 3.0
CONFIDENCE = 0.8  # that an accuracy lies in the interval that is given with it


@dataclass(frozen=True)
class Expected:
    """Accuracy to expect on new images, and an interval that holds it with a probability of 0.8.

    Attributes:
        images: Number of images that it was measured on.
        by: `leave-one-out` or `validation`; a test image never counts.
    """

    accuracy: float = 0.0
    low: float = 0.0
    high: float = 0.0
    images: int = 0
    by: str = ""

    @classmethod
    def of(cls, accuracy: float, num_images: int, *, by: str) -> "Expected":
        low, high = wilson_interval(accuracy, num_images, confidence=CONFIDENCE)
        return cls(accuracy, low, high, num_images, by)


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

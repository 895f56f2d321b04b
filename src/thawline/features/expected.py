"""How well shares of right answers are known, and whether two of them differ."""

import math
from dataclasses import dataclass, replace

# If accuracies on rows that were left out and on the validation images differ by more standard errors, new images are
# not like the training images: near-copies, or another time and place. By chance it happens once in 370 times.
SHIFTED_FROM = 3.0
CONFIDENCE = 0.8  # that an accuracy lies in the interval that is given with it


@dataclass(frozen=True)
class Expected:
    """Accuracy to expect on new images, and an interval that holds it with a probability of 0.8.

    Attributes:
        images: Number of images that it was measured on.
        by: `leave-one-out`, `5 folds` or `validation`; a test image never counts.
        new_images: Number of new images whose accuracy the interval holds; 0 stands for as many as one likes.
    """

    accuracy: float = 0.0
    low: float = 0.0
    high: float = 0.0
    images: int = 0
    by: str = ""
    new_images: int = 0

    @classmethod
    def of(cls, accuracy: float, num_images: int, *, by: str) -> "Expected":
        low, high = wilson_interval(accuracy, num_images, confidence=CONFIDENCE)
        return cls(accuracy, low, high, num_images, by)

    def on(self, num_images: int) -> "Expected":
        """The same for that many new images, which are a sample themselves: the interval is wider.

        Their number of right answers is beta-binomial: Jeffreys' posterior of as many images as give the interval.
        """
        from scipy.stats import betabinom  # slow to load

        assert not self.new_images, self
        if not num_images:
            return self
        low, high = wilson_interval(self.accuracy, self.images, confidence=CONFIDENCE)
        known = self.images * min(1.0, ((high - low) / (self.high - self.low)) ** 2)  # fewer where a gain was added
        posterior = betabinom(num_images, self.accuracy * known + 0.5, (1 - self.accuracy) * known + 0.5)
        low, high = (float(posterior.ppf((1 + sign * CONFIDENCE) / 2)) / num_images for sign in (-1, 1))
        return replace(self, low=low, high=high, new_images=num_images)


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

"""The calibration error of the likeliest class, and how far chance moves it.

It is a mean of absolute values, so it is above 0 also for perfect probabilities, the more so the fewer images there
are: with b bins of n images each, an error of about sqrt(2 p (1 - p) / (pi n)) in every bin. So it is given with an
interval and with what perfect probabilities would have.
Source: Guo et al. 2017, "On Calibration of Modern Neural Networks"; the last as in Broecker and Smith 2007, "Increasing
the Reliability of Reliability Diagrams".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15  # Guo et al. 2017
_RESAMPLES = 500  # chosen: bounds move by a tenth of the interval's width from seed to seed
_TAIL = 2.5  # percent on each side of an interval
Confidence = NDArray[np.float64]
Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """The error with a temperature (`after`) and without it (`before`) on N images, with 95 % intervals.

    Attributes:
        low, high: Of `after`, by bootstrap; `low` is 0 where perfect probabilities may have such an error too.
        change_low, change_high: Of `after - before`, by bootstrap of the same images.
        by_chance: The mean error of perfect probabilities on so many images.
    """

    images: int
    before: float
    after: float
    low: float
    high: float
    change_low: float
    change_high: float
    by_chance: float

    @property
    def is_worse(self) -> bool:
        """Whether the temperature made the error larger; it may be by chance."""
        return self.after > self.before


def bins_of(confidence: Confidence) -> NDArray[np.int64]:
    """The bin of each probability (N,), from 0; a bin holds its upper end."""
    return np.clip(np.ceil(confidence * NUM_BINS), 1, NUM_BINS).astype(np.int64) - 1


def calibration_error(confidence: Confidence, right: Right, weights: Confidence | None = None) -> float:
    """Mean |share right - confidence| over bins of equal width, by their images.

    Args:
        confidence: Probability of the likeliest class, (N,); right: whether it is the right one, (N,); N > 0.
        weights: Of the images, (N,); None counts all alike.
    """
    number = len(right) if weights is None else weights.sum()
    return float(np.abs(_gaps(confidence, right, weights)).sum() / number)


def compared(after: Confidence, right: Right, before: Confidence, *, weights: Confidence | None = None) -> Compared:
    """Both errors; `after` and `before` are probabilities (N,) of the same answers; `weights` (N,) of the images."""
    of_image = np.ones(len(right)) if weights is None else weights
    errors = calibration_error(after, right, of_image), calibration_error(before, right, of_image)
    generator, number = np.random.default_rng(0), len(right)
    drawn = np.empty((_RESAMPLES, 2))
    for row in drawn:
        some = generator.integers(0, number, number)
        row[:] = [calibration_error(of[some], right[some], of_image[some]) for of in (after, before)]
    perfect = [calibration_error(after, generator.random(number) < after, of_image) for _ in range(_RESAMPLES)]
    low, high = _reflected(drawn[:, 0], errors[0])
    low = 0.0 if errors[0] <= np.percentile(perfect, 100 - _TAIL) else max(low, 0.0)
    change_low, change_high = _reflected(drawn[:, 0] - drawn[:, 1], errors[0] - errors[1])
    high = max(high, errors[0])
    return Compared(number, errors[1], errors[0], low, high, change_low, change_high, float(np.mean(perfect)))


def error_line(one: Compared) -> str:
    """Such as `0.0777, 95 % interval 0.0310 to 0.1200; perfect probabilities would have 0.0610 on 60 images`."""
    interval = f"95 % interval {one.low:.4f} to {one.high:.4f}"
    return f"{one.after:.4f}, {interval}; perfect probabilities would have {one.by_chance:.4f} on {one.images:,} images"


def worse_line(one: Compared) -> str | None:
    """What a reader must know where the temperature made the error larger."""
    if not one.is_worse or f"{one.after:.4f}" == f"{one.before:.4f}":  # nothing that a reader would see
        return None
    chance = "which may be chance" if one.change_low <= 0 else "which is more than chance"
    change = f"{one.after - one.before:+.4f} ({one.change_low:+.4f} to {one.change_high:+.4f})"
    return (
        f"the temperature makes the calibration error larger: {one.after:.4f} with it, {one.before:.4f} without; "
        f"a difference of {change}, {chance}"
    )


def _gaps(confidence: Confidence, right: Right, weights: Confidence | None) -> NDArray[np.float64]:
    """Right answers less expected ones, per bin, (15,)."""
    gaps = (right - confidence) * (1.0 if weights is None else weights)
    return np.bincount(bins_of(confidence), weights=gaps, minlength=NUM_BINS).astype(np.float64)


def _reflected(drawn: NDArray[np.float64], value: float) -> tuple[float, float]:
    """The basic bootstrap interval: resampling raises the error as the sample itself did, so its distance is turned."""
    low, high = np.percentile(drawn, (_TAIL, 100 - _TAIL))
    return float(2 * value - high), float(2 * value - low)

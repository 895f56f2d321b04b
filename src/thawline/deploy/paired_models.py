"""Two models on the same images: the difference, and whether chance explains it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # of a two-sided interval of 95 %


@dataclass(frozen=True)
class Paired:
    """Right answers of a model and of another one to the same images.

    Attributes:
        both, only_this, only_other, neither: Images that these answer right.
        difference, low, high: Accuracy of this minus that of the other, with a 95 % interval.
        p_value: Of McNemar's exact test: how likely such a difference or a larger one is by chance, were both as good.
    """

    both: int
    only_this: int
    only_other: int
    neither: int
    difference: float
    low: float
    high: float
    p_value: float

    @property
    def images(self) -> int:
        return self.both + self.only_this + self.only_other + self.neither


def paired(this: NDArray[np.bool_], other: NDArray[np.bool_]) -> Paired:
    """Compare which images two models answer right, (N,) each.

    Source: McNemar 1947, exact form. The interval is that of Agresti and Min 2005, "Simple improved confidence
    intervals for comparing matched proportions": Wald's after adding 1/2 to each of the four counts.
    """
    from scipy.stats import binomtest  # slow to load

    only_this, only_other = int((this & ~other).sum()), int((~this & other).sum())
    images, differ = len(this), only_this + only_other
    p_value = float(binomtest(only_this, differ, 0.5).pvalue) if differ else 1.0
    number, gain, changes = images + 2, only_this - only_other, differ + 1
    error = math.sqrt(changes - gain**2 / number) / number
    low, high = (gain / number + sign * _Z * error for sign in (-1, 1))
    return Paired(
        both=int((this & other).sum()),
        only_this=only_this,
        only_other=only_other,
        neither=int((~this & ~other).sum()),
        difference=gain / images,
        low=max(low, -1.0),
        high=min(high, 1.0),
        p_value=p_value,
    )

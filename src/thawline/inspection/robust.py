"""How far numbers lie from the bulk of them, where some are wrong."""

import numpy as np
from numpy.typing import NDArray

# Modified z-score from which a number is an outlier: Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers".
FAR = 3.5
_NORMAL = 0.6745  # median absolute deviation of a normal distribution, in standard deviations


def modified_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) -> (N,): distance from the median in robust standard deviations; 0 for all where half of them are equal.

    NaN stays NaN.
    """
    if not np.isfinite(values).any():
        return np.zeros_like(values)
    away = values - np.nanmedian(values)
    spread = float(np.nanmedian(np.abs(away)))
    return np.asarray(_NORMAL * away / spread) if spread > 0 else np.zeros_like(values)


def score_of_z(z: float) -> float:
    """From 0 at `FAR` towards 1."""
    return float(1.0 - FAR / max(z, FAR))

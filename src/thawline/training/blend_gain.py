"""What a blend is expected to gain over its stack: what it gained elsewhere, and on the validation images here."""

import math
from statistics import NormalDist

from torch import Tensor

from thawline.features.expected import CONFIDENCE, Expected

# Gain in test accuracy of a blend over its stack: mean and standard deviation over 22 pairs of task and backbone, which
# `scripts/evidence/regret.py --answers` measures (EfficientNet-Lite0 and Lite1, 112 pixels, 3 seeds, 2026-11-27).
USUAL_GAIN = 0.009
_SPREAD = 0.013


def expected_gain(
    blend: Tensor, stack: Tensor, *, usual: float = USUAL_GAIN, spread: float = _SPREAD
) -> tuple[float, float]:
    """Gain in accuracy and its standard error, of the normal posterior: the usual gain is the prior.

    Args:
        blend, stack: Whether each classifies the same V images right, (V,), bool; neither was fitted on them.
        usual, spread: Mean and standard deviation of the gain elsewhere.
    """
    gains = blend.double() - stack.double()
    error = max(float(gains.std(correction=0)), 1 / len(gains)) / math.sqrt(len(gains))
    prior, seen = 1 / spread**2, 1 / error**2
    return (usual * prior + float(gains.mean()) * seen) / (prior + seen), math.sqrt(1 / (prior + seen))


def blend_expected(
    of_stack: Expected, blend: Tensor, stack: Tensor, *, usual: float = USUAL_GAIN, spread: float = _SPREAD
) -> Expected:
    """Accuracy to expect of the blend: that of its stack and the gain; arguments as for `expected_gain`."""
    gain, error = expected_gain(blend, stack, usual=usual, spread=spread)
    width = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    accuracy = min(max(of_stack.accuracy + gain, 0.0), 1.0)
    low, high = (math.hypot(bound - of_stack.accuracy, width) for bound in (of_stack.low, of_stack.high))
    return Expected(accuracy, max(accuracy - low, 0.0), min(accuracy + high, 1.0), of_stack.images, of_stack.by)

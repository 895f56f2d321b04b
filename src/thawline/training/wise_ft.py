"""WiSE-FT: tuned weights mixed with the pretrained ones, after training."""

from collections.abc import Mapping

import torch
from torch import Tensor


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], *, share: float) -> dict[str, Tensor]:
    """`(1 - share) * start + share * tuned`, for every tensor of `start`.

    Integers (counters of batches) are taken from `tuned`, and so is everything at a share of 1. A tensor that did not
    change stays bitwise what it was, at every share.

    Source: Wortsman et al. 2022, "Robust Fine-Tuning of Zero-Shot Models" (WiSE-FT).
    """
    return {name: _blend(value, tuned[name], share) for name, value in start.items()}


def _blend(start: Tensor, tuned: Tensor, share: float) -> Tensor:
    if share == 1.0 or not start.is_floating_point() or torch.equal(start, tuned):
        return tuned.clone()
    return torch.lerp(start, tuned, share)

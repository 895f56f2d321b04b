"""How much each of several classifiers counts in their average: the shares with the lowest log loss."""

import torch
from torch import Tensor

_MAX_STEPS = 1000
_TOLERANCE = 1e-6  # the largest change of a share in the last step


def fit_shares(right: Tensor, weights: Tensor) -> Tensor:
    """Shares (M,) of M classifiers, above 0, sum 1, that maximise the likelihood of the right classes.

    The log of the average is concave in the shares; expectation maximisation climbs it (Dempster et al. 1977). One
    image is added on which all classifiers are right alike: so no share is 0, and few images leave them near equal.

    Args:
        right: Probability that each classifier gives the right class of each row it was not fitted on, (M, N), float64.
        weights: Of the rows, (N,), mean 1.
    Source: stacking (Wolpert 1992; Breiman 1996) with log loss.
    """
    num_parts, num_rows = right.shape
    shares = torch.full((num_parts,), 1.0 / num_parts, dtype=torch.float64)
    for _ in range(_MAX_STEPS):
        parts = shares[:, None] * right
        earned = (parts / parts.sum(0).clamp_min(torch.finfo(torch.float64).tiny)) @ weights
        last, shares = shares, (earned + 1.0 / num_parts) / (num_rows + 1.0)
        if float((shares - last).abs().max()) <= _TOLERANCE:
            break
    return shares / shares.sum()

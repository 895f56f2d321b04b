"""Many rows of many channels in few: their coordinates in the span of some of the rows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from thawline.features.left_out import eigenvectors


def landmark_bases(parts: Sequence[Tensor], num_landmarks: int) -> list[Tensor]:
    """An orthonormal basis of the span of `num_landmarks` rows, evenly spaced, of rows whose channels lie in `parts`.

    Ridge regression on the coordinates is that on all channels with its weights held in that span: the Nystroem
    approximation of the rows' products.

    Args:
        parts: (N, D_i) each.
    Returns:
        For every part (D_i, R), R <= num_landmarks; the coordinates are the sum of parts[i] @ bases[i].
    Source: Williams and Seeger 2001, "Using the Nystroem Method to Speed Up Kernel Machines".
    """
    rows = torch.linspace(0, len(parts[0]) - 1, num_landmarks).round().long()
    some = [part[rows] for part in parts]
    values, vectors = eigenvectors(sum((part @ part.T for part in some[1:]), start=some[0] @ some[0].T))
    turn = vectors / values.sqrt()
    return [part.T @ turn for part in some]

"""Activations with the cut that they belong to, so that nothing takes them for images, or images for them."""

from typing import NamedTuple

from torch import Tensor


class Activations(NamedTuple):
    """What the stages before `cut` computed of some images.

    Attributes:
        rows: (B, *row); at the last cut the features that the head reads, (B, D).
        cut: The stage that reads them, 1 to num_stages.
    """

    rows: Tensor
    cut: int


def at_cut(rows: Tensor, cut: int) -> Tensor | Activations:
    """Rows as a model takes them: at cut 0 they are images."""
    return Activations(rows, cut) if cut else rows

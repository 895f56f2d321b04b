"""Activations together with their cut, so that no code confuses them with images."""

from typing import NamedTuple

from torch import Tensor


class Activations(NamedTuple):
    """Output of the stages before `cut` for a batch of images.

    Attributes:
        rows: (B, *row); at the last cut the features that the head reads, (B, D).
        cut: Number of stages that computed them, 1 to num_stages.
    """

    rows: Tensor
    cut: int


def part_of(batch: Tensor | Activations, part: slice) -> Tensor | Activations:
    """Some images of a batch, or what is stored of them."""
    return Activations(batch.rows[part], batch.cut) if isinstance(batch, Activations) else batch[part]


def at_cut(rows: Tensor, cut: int) -> Tensor | Activations:
    """The rows with their cut; at cut 0 they are images and stay a plain tensor."""
    return Activations(rows, cut) if cut else rows

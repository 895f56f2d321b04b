"""Splits whose activations are to be stored, and what their stores are of."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch.utils.data import Sampler

from thawline.data.dataset import Key, SplitDataset
from thawline.features.extract import Mode, Tap
from thawline.machine.tf32 import rounding_now
from thawline.models.backbone import Backbone
from thawline.models.digests import checksum

_LIBRARIES = ("torch", "torchvision", "timm", "pillow")  # they decode, transform and compute


@dataclass(frozen=True)
class Wanted:
    """A split whose activations are to be stored: `num_views` views of every image, in the order of the split.

    Attributes:
        random_views: Whether the views depend on the dataset's seed. If not, runs with any seed share the store.
    """

    dataset: SplitDataset
    num_views: int
    random_views: bool

    @property
    def num_rows(self) -> int:
        return self.num_views * len(self.dataset)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the images and of the split. It may take as long as reading all of them, and every tap's store asks."""
        return self.dataset.fingerprint()

    def keys(self, rows: Sequence[range] | None = None) -> Sampler[Key]:
        """Of some rows, or of all: one view after the other."""
        return _InOrder(len(self.dataset), [range(self.num_rows)] if rows is None else rows)


class _InOrder(Sampler[Key]):
    """(view, index) of rows; a list of ten million takes a gigabyte."""

    def __init__(self, num_images: int, rows: Sequence[range]) -> None:
        self.num_images, self.rows = num_images, rows

    def __iter__(self) -> Iterator[Key]:
        return (divmod(row, self.num_images) for part in self.rows for row in part)

    def __len__(self) -> int:
        return sum(map(len, self.rows))


def stores_of(
    splits: Sequence[Wanted], backbone: Backbone, taps: Sequence[Tap], *, mode: Mode, device: torch.device
) -> list[dict[Tap, dict[str, Any]]]:
    """Per split and tap what its store is of. Weights are hashed once for a cut: a large model's take seconds."""
    weights = {cut: checksum(backbone.prefix_tensors(cut)) for cut in {tap.cut for tap in taps}}
    compute = f"{mode}, {rounding_now(device)}"
    return [
        {tap: _about(split, backbone, tap, weights=weights[tap.cut], compute=compute) for tap in taps}
        for split in splits
    ]


def _about(split: Wanted, backbone: Backbone, tap: Tap, *, weights: str, compute: str) -> dict[str, Any]:
    """All that the stored numbers depend on and nothing else; the store's name is a hash of this."""
    return {
        "model": backbone.name,
        "image_size": backbone.input.size,
        "cut": tap.cut,
        "grid": tap.grid,
        "stage": backbone.stages[tap.cut - 1].name,
        "weights": weights,
        "images": split.fingerprint,
        "transform": repr(split.dataset.transform),
        "views": split.num_views,
        "seed": split.dataset.seed if split.random_views else None,
        "compute": compute,
        "versions": {name: version(name) for name in _LIBRARIES},
    }

"""Batches of stored activations, in the order of the images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, Dataset

from thawline.data.dataset import EpochSampler, Key
from thawline.data.sources.source import ImageSource, IntArray, Split, training_weights
from thawline.features.activations import Activations, at_cut
from thawline.features.feature_store import StoredArray

STORED: tuple[Split, Split] = ("train", "val")  # splits that are


@dataclass(frozen=True)
class StoredSplits:
    """Stored output of frozen stages.

    Attributes:
        cut: Number of stages whose output is stored.
        arrays: For each split the arrays of its `StoredDataset`.
        positions: In a split of which some images alone are stored, theirs.
    """

    cut: int
    arrays: Mapping[Split, Sequence[StoredArray]]
    positions: Mapping[Split, IntArray] = field(default_factory=dict)

    @property
    def num_bytes(self) -> int:
        return sum(array.num_bytes for of_split in self.arrays.values() for array in of_split)


class StoredRows(NamedTuple):
    """Stored activations of a split.

    Attributes:
        rows: (M, *row), float32.
        labels, groups: Class index and group of each row's image, (M,), int64.
        weights: How much it counts in training, (M,), float64; None where all count alike.
    """

    rows: Tensor
    labels: Tensor
    groups: Tensor
    weights: Tensor | None = None


def groups_and_weights(source: ImageSource, images: IntArray) -> tuple[Tensor, Tensor | None]:
    """Group of each of these images, (N,), int64, and how much it counts in training, (N,), float64, or None."""
    weights = training_weights(source, images)
    return torch.from_numpy(source.groups[images]), None if weights is None else torch.from_numpy(weights)


class StoredDataset(Dataset[tuple[Tensor | Activations, Tensor]]):
    """A list of (epoch, i) -> (activations (B, *row), class indices (B,)). Epoch e shows view e mod K of every image.

    Args:
        arrays: Each holds rows of view 0 of all images, then of view 1, and so on. Vectors of several arrays are put
            side by side.
        labels: Class indices of the split's images, (N,), int64.
        cut: The cut at which the activations enter the model.
    """

    def __init__(self, arrays: Sequence[StoredArray], labels: Tensor, *, cut: int) -> None:
        assert {len(array) for array in arrays} == {len(arrays[0])}, [len(array) for array in arrays]
        assert len(arrays[0]) % len(labels) == 0, (len(arrays[0]), len(labels))
        self.arrays = tuple(arrays)
        self.labels = labels
        self.cut = cut
        self.num_views = len(arrays[0]) // len(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, keys: Sequence[Key]) -> tuple[Tensor | Activations, Tensor]:
        positions = [position for _, position in keys]
        rows = [(epoch % self.num_views) * len(self.labels) + position for epoch, position in keys]
        return at_cut(self._rows(rows), self.cut), self.labels[torch.tensor(positions)]

    def everything(self, groups: Tensor, weights: Tensor | None, *, most: int | None = None) -> StoredRows:
        """All rows of all K views, or the first `most`; groups and weights (N,) of the images."""
        rows = self._rows(range(len(self.arrays[0]))[:most]).float()
        labels, groups = (column.repeat(self.num_views)[:most] for column in (self.labels, groups))
        return StoredRows(rows, labels, groups, None if weights is None else weights.repeat(self.num_views)[:most])

    def _rows(self, indices: Sequence[int]) -> Tensor:
        parts = [array.rows(indices) for array in self.arrays]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class EpochBatches(BatchSampler):
    """An `EpochSampler`'s keys in lists of `batch_size`; Lightning calls `set_epoch`."""

    def __init__(self, sampler: EpochSampler, *, batch_size: int, drop_last: bool) -> None:
        super().__init__(sampler, batch_size, drop_last)  # type: ignore[arg-type]  # torch's type expects numbers
        self.set_epoch = sampler.set_epoch

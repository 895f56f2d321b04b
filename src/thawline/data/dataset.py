"""Images of one split as tensors; every random view is a function of (seed, epoch, index)."""

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from thawline.data.balanced_order import balanced_order, weighted_order
from thawline.data.keep import KeptImages
from thawline.data.mixed_seed import mixed_seed
from thawline.data.sources.source import FloatArray, ImageSource, IntArray, reduced
from thawline.data.transforms import Transform

Key = tuple[int, int]  # (epoch, index into the split)
# Added to the epoch of an image's key for each time that it came before in the same epoch, so that its views differ.
# Chosen: more than any number of epochs, and a prime, so that it moves on whatever number of stored views.
_REPEATS_APART = 1_000_003


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index), so that workers that live for several epochs know the epoch too.

    The order is a function of (seed, epoch). Lightning calls `set_epoch` at the start of every epoch, also of a resumed
    one. With several processes, process `rank` takes the images rank, rank + world_size, and so on. Together they see
    the batches that one process with `world_size` times the batch size would see.

    Args:
        even: Whether every process gets the same number of images, as training needs. Otherwise no image is left out.
        balance: Class of each image, (N,): every class comes equally often, see `balanced_order`. None takes each image
            once.
        weights: (N,), > 0: images come in proportion to them, see `weighted_order`.
    """

    def __init__(
        self,
        num_images: int,
        *,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
        balance: IntArray | None = None,
        weights: FloatArray | None = None,
    ) -> None:
        self.num_images = num_images
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.balance = balance
        self.weights = weights
        self.end = num_images - num_images % world_size if even else num_images
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.end, self.world_size))

    def __iter__(self) -> Iterator[Key]:
        order, repeats = self._order()
        mine = slice(self.rank, self.end, self.world_size)
        epochs = self.epoch + _REPEATS_APART * repeats
        return ((int(epoch), int(index)) for epoch, index in zip(epochs[mine], order[mine], strict=True))

    def _order(self) -> tuple[IntArray, IntArray]:
        """Positions in the split, and how often each came before in this epoch."""
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.balance is not None:
            return balanced_order(self.balance, generator, weights=self.weights)
        if self.weights is not None:
            return weighted_order(self.weights, generator)
        order = np.arange(self.num_images)
        if self.shuffle:
            generator.shuffle(order)
        return order, np.zeros_like(order)


class SplitDataset(Dataset[tuple[Tensor, int]]):
    """(epoch, i) -> (uint8 image (3, S, S), class index) for the i-th image of a split.

    Args:
        transform: Its attribute `shorter`, if it has one, says how large JPEGs are decoded.
        random_views: Whether `transform` is random. If not, every epoch shows the same view.
        keep: Holds images after their first use: decoded ones for random views, transformed ones for fixed views.
    """

    def __init__(
        self,
        source: ImageSource,
        indices: IntArray,
        *,
        transform: Transform,
        seed: int,
        random_views: bool = True,
        keep: KeptImages | None = None,
    ) -> None:
        self.source = reduced(source, getattr(transform, "shorter", None))
        self.indices = indices
        self.transform = transform
        self.seed = seed
        self.random_views = random_views
        self.keep = keep

    def __len__(self) -> int:
        return len(self.indices)

    def some(self, positions: IntArray) -> "SplitDataset":
        """The images at some positions of the split."""
        return SplitDataset(
            self.source, self.indices[positions], transform=self.transform, seed=self.seed,
            random_views=self.random_views, keep=self.keep,
        )  # fmt: skip

    def fingerprint(self) -> str:
        """A digest of the source's images and of the split's indices, in their order."""
        rows = hashlib.blake2b(np.ascontiguousarray(self.indices, dtype=np.int64).tobytes(), digest_size=16)
        return f"{self.source.fingerprint()}-{rows.hexdigest()}"

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        epoch, position = key
        index = int(self.indices[position])
        view = self._random_view(epoch, index) if self.random_views else self._fixed_view(index)
        return view, int(self.source.labels[index])

    def _random_view(self, epoch: int, index: int) -> Tensor:
        image = self._decoded(index)
        # The transforms draw from torch's global generator; seed it for this view and put it back.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mixed_seed(self.seed, epoch, index))
            return self.transform(image)

    def _decoded(self, index: int) -> Image.Image:
        if self.keep is None:
            return self.source.load(index)
        if (image := self.keep.image(("decoded", index))) is None:
            image = self.source.load(index)
            self.keep.put(("decoded", index), image)
        return image

    def _fixed_view(self, index: int) -> Tensor:
        if self.keep is None:
            return self.transform(self.source.load(index))
        if (pixels := self.keep.get(("transformed", index))) is not None:  # (3, S, S)
            return torch.tensor(pixels)  # a copy, so that a caller who changes it does not change the kept image
        if (image := self.keep.image(("decoded", index))) is not None:
            return self.transform(image)
        view = self.transform(self.source.load(index))
        self.keep.put(("transformed", index), view)
        return view

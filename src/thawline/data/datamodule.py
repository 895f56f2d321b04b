"""ImageDataModule: a data source, split and transformed, in batches."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.data.dataset import EpochSampler, SplitDataset
from thawline.data.keep import kept_images
from thawline.data.sources.source import ImageSource, Split
from thawline.data.splits import splits_of
from thawline.data.stored import EpochBatches, StoredDataset
from thawline.data.transforms import eval_transform, is_random, train_transform
from thawline.features.store import StoredArray
from thawline.models.backbone import InputSpec
from thawline.processes import num_cores
from thawline.settings import LoaderSettings

_log = logging.getLogger(__name__)
_MAX_WORKERS = 8  # chosen: beyond it, workers on one machine mostly wait for each other
# Chosen: where the model computes on the cores too, a worker makes it wait. On 2 cores, full fine-tuning ran at 22
# images/s without workers and 17 with two; training the head only, at 80 to 100 either way.
_CORES_PER_CPU_WORKER = 4
_PREFETCH = 2  # batches that each worker holds ready; torch's default
_EVAL_BATCH_FACTOR = 2  # no gradients are kept, so twice the batch needs no more memory

Loader = DataLoader[Any]  # batches are (uint8 images (B, 3, S, S), class indices (B,))


class ImageDataModule(L.LightningDataModule):
    """Batches of (uint8 images (B, 3, S, S), class indices (B,)) for train, val and test."""

    def __init__(
        self,
        source: ImageSource,
        *,
        spec: InputSpec,
        loader: LoaderSettings,
        seed: int,
        on_cpu: bool = False,
        rank: int = 0,
        world_size: int = 1,
        one_batch: bool = False,
    ) -> None:
        """
        Args:
            spec: Size and interpolation that the backbone expects.
            seed: Fixes the order and the random views of the training images; the split has `loader.split_seed`.
            on_cpu: Whether the model computes on the same cores that load the images.
            rank, world_size: Which of how many processes this is; each has batches of its own.
            one_batch: Whether all training images come at once; they are stored features then.
        """
        super().__init__()
        self.source = source
        self.loader = loader
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.splits = splits_of(source, loader)
        self.batch_size = min(loader.batch_size, len(self.splits["train"]) // world_size)
        self.eval_batch_size = self.batch_size * _EVAL_BATCH_FACTOR
        if one_batch:
            self.batch_size = len(self.splits["train"]) // world_size
        self.num_workers = _num_workers(loader, spec, on_cpu=on_cpu, world_size=world_size)
        # Training and validation share what one process keeps, but each has workers of its own.
        self._keep = kept_images(loader.keep_decoded, processes=world_size * (2 * self.num_workers or 1))
        self._stored: dict[Split, StoredDataset] = {}
        self._eval = eval_transform(spec)
        self._train = train_transform(spec, loader.augment)

    @property
    def num_classes(self) -> int:
        return len(self.source.class_names)

    @property
    def num_train_batches(self) -> int:
        """Optimizer steps of one epoch; an incomplete last batch is dropped, and its images come in another epoch."""
        return len(self.splits["train"]) // self.world_size // self.batch_size

    def train_dataloader(self) -> Loader:
        return self._loader("train")

    def val_dataloader(self) -> Loader:
        return self._loader("val")

    def test_dataloader(self) -> Loader:
        return self._loader("test")

    def dataset(self, split: Split, *, again: bool = False) -> SplitDataset:
        """The images of a split, transformed: training images randomly where the settings say so.

        Args:
            again: Whether the images will be used more than once, so that they are worth keeping.
        """
        training = split == "train"
        return SplitDataset(
            self.source,
            self.splits[split],
            transform=self._train if training else self._eval,
            seed=self.seed,
            random_views=training and is_random(self.loader.augment),
            keep=self._keep if again else None,
        )

    def use_stored(self, arrays: Mapping[Split, Sequence[StoredArray]]) -> None:
        """From now on, batches of these splits hold stored activations (B, *row) in place of images.

        Of several arrays of vectors a batch holds the rows side by side.
        """
        self._keep = None  # training and validation use no image again; the memory is free
        self._stored = {
            split: StoredDataset(of_split, torch.from_numpy(self.source.labels[self.splits[split]]))
            for split, of_split in arrays.items()
        }

    def stored_rows(self, split: Split) -> tuple[Tensor, Tensor]:
        """All that is stored of a split: activations (K * N, *row) of its K views, float32, and class indices."""
        return self._stored[split].everything()

    def _loader(self, split: Split) -> Loader:
        training, again = split == "train", split != "test"
        dataset = self.dataset(split, again=again)
        batch_size = self.batch_size if training else self.eval_batch_size
        sampler = EpochSampler(
            len(dataset), shuffle=training, seed=self.seed, rank=self.rank, world_size=self.world_size, even=training
        )
        if training and self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)  # workers of a resumed run fetch before Lightning says it
        if split in self._stored:
            batches = EpochBatches(sampler, batch_size=batch_size, drop_last=training)
            return DataLoader(self._stored[split], batch_size=None, sampler=batches)
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            drop_last=training,
            persistent_workers=self.num_workers > 0 and again,
            prefetch_factor=_PREFETCH if self.num_workers else None,
        )


def _num_workers(loader: LoaderSettings, spec: InputSpec, *, on_cpu: bool, world_size: int) -> int:
    cores = num_cores() // world_size
    free = cores // _CORES_PER_CPU_WORKER if on_cpu else cores
    workers = min(free, _MAX_WORKERS) if loader.num_workers is None else loader.num_workers
    in_flight = world_size * workers * (_PREFETCH + 1) * loader.batch_size * _EVAL_BATCH_FACTOR * 3 * spec.size**2
    shared = Path("/dev/shm")
    if workers and shared.is_dir() and shutil.disk_usage(shared).free < in_flight:
        _log.warning(
            "%s has less than the %.0f MB that %d workers need; loading images in the main process instead. "
            "In a container, raise it with --shm-size.",
            shared,
            in_flight / 1e6,
            workers,
        )
        return 0
    return workers

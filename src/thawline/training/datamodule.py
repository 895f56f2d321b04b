"""ImageDataModule: a data source, split and transformed, in batches."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from thawline.data.dataset import EpochSampler, SplitDataset
from thawline.data.input_spec import InputSpec
from thawline.data.keep import KeptImages, kept_images
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.source import ImageSource, IntArray, Split, decodes_reduced, training_weights
from thawline.data.splits import splits_of
from thawline.data.transforms import eval_transform, train_transform
from thawline.errors import UserError
from thawline.features.stored_dataset import EpochBatches, StoredDataset, StoredRows, StoredSplits, groups_and_weights
from thawline.machine.decisions import pins_memory
from thawline.machine.device import this_device
from thawline.machine.processes import jobs_at_once, this_process
from thawline.machine.standstill import worker_init
from thawline.models.backbone import Backbone
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.folder_defaults import loader_for, spec_for
from thawline.training.workers import EVAL_BATCH_FACTOR, PREFETCH, choose_num_workers

Loader = DataLoader[Any]  # batches are (uint8 images (B, 3, S, S), class indices (B,))


class ImageDataModule(L.LightningDataModule):
    """Batches of (uint8 images (B, 3, S, S), class indices (B,)) for train, val and test.

    >>> data = ImageDataModule.from_folder("flowers", image_size=64, batch_size=4)  # flowers/rose/1.png, ...
    >>> data.source.class_names, {split: len(indices) for split, indices in data.splits.items()}
    (['rose', 'tulip'], {'train': 16, 'val': 4, 'test': 4})
    >>> images, labels = next(iter(data.val_dataloader()))
    >>> images.shape, images.dtype, labels.shape
    (torch.Size([4, 3, 64, 64]), torch.uint8, torch.Size([4]))
    """

    def __init__(
        self,
        source: ImageSource,
        *,
        spec: InputSpec,
        loader: LoaderSettings,
        seed: int,
        kind: str = "cuda",
        rank: int = 0,
        world_size: int = 1,
        here: int | None = None,
        one_batch: bool = False,
        balanced: bool = False,
        cache: CacheSettings | None = None,
    ) -> None:
        """
        Args:
            spec: Size and interpolation that the backbone expects.
            seed: Fixes the order and the random views of the training images; the split has `loader.split_seed`.
            kind: Of the device that the model computes on, `cpu`, `cuda` or `mps`: on a CPU both share the cores.
            rank, world_size: Which of how many processes this is; each has batches of its own.
            here: Processes of the run on this machine, which share its cores and memory; None for all of them.
            one_batch: Whether all training images come at once; they are stored features then.
            balanced: Whether training images come so that every class is equally frequent.
            cache: Where decoded images go that memory has no room for; None decodes them at every use.
        Raises:
            UserError: A split has fewer images than there are processes.
        """
        super().__init__()
        self.source, self.loader, self.seed = source, loader, seed
        self.splits = splits_of(source, loader)
        self._one_batch, self._balanced, self._cache = one_batch, balanced, cache
        self._finds_processes = False
        self._stored: dict[Split, StoredDataset] = {}
        self._some: dict[Split, IntArray] = {}
        self.spec = spec = replace(spec, fit=loader.fit, decoded_side=loader.decoded_side)
        self._eval = eval_transform(spec, beside=loader.augment)
        self._train = train_transform(spec, loader.augment)
        self.decoded_side = self._eval.shorter if decodes_reduced(source) else None  # see `Pixels.shorter`
        self._share_out(rank, world_size, kind, here or world_size)

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        *,
        backbone: Backbone | nn.Module | None = None,
        image_size: int | None = None,
        batch_size: int = 32,
        augment: AugmentSettings | Mapping[str, Any] | None = None,
        seed: int = 0,
        on_unreadable: Literal["error", "skip"] = "error",
        **loader: Any,
    ) -> "ImageDataModule":
        """Images of a folder; which process this is, and how many there are, comes from the trainer.

        Args:
            folder: Class folders, or `train/` and optionally `val/` and `test/`, each holding class folders. What is
                missing is split off, stratified.
            backbone: A `Backbone` or timm model, whose input size and interpolation the images get; None is 224.
            image_size: Side of the images in pixels; None takes the backbone's.
            augment: Random views of the training images, such as `{"min_scale": 0.6, "hflip": True}`; None is none.
            seed: Fixes the order and the random views of the training images.
            on_unreadable: What to do about a file that does not decode: stop, or leave it out with a warning.
            loader: Other settings of `LoaderSettings`: `num_workers`, `val_fraction`, `test_fraction`, `split_seed`,
                `decoded_side`, `keep_decoded`.
        Raises:
            UserError: The folder is not as described, an image does not decode, or a setting is wrong.
        """
        place = this_process()
        data = cls(
            FolderSource(root=folder, on_unreadable=on_unreadable),
            spec=spec_for(backbone, image_size),
            loader=loader_for(augment, {"batch_size": batch_size, **loader}),
            seed=seed,
            kind=this_device().kind,
            rank=place.rank,
            world_size=place.world_size,
        )
        data._finds_processes = True
        return data

    def setup(self, stage: str) -> None:
        """Learn from the trainer which process this is; nothing where that was given.

        Raises:
            UserError: Lightning would share out among the processes what is shared out here.
        """
        if not self._finds_processes or self.trainer is None:
            return
        trainer = self.trainer
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise UserError(
                "ImageDataModule: every process takes its share of the images by itself; "
                "give Trainer(use_distributed_sampler=False)"
            )
        place = trainer.global_rank, trainer.world_size, trainer.strategy.root_device.type
        if place != (self.rank, self.world_size, self._kind):
            self._share_out(*place, here=trainer.num_devices)

    def _share_out(self, rank: int, world_size: int, kind: str, here: int) -> None:
        """Sizes of batches, workers and memory for one of `world_size` processes, of which `here` are on this machine.

        Raises:
            UserError: A process would get no image of a split, and the others would wait for it.
        """
        for split, indices in self.splits.items():
            if world_size > 1 and len(indices) < world_size:
                raise UserError(
                    f"{len(indices)} {split} images for {world_size} processes: each needs at least one; "
                    "take fewer processes (trainer.devices, trainer.num_nodes) or more images"
                )
        self.rank, self.world_size, self._kind = rank, world_size, kind
        loader, num_train = self.loader, len(self.splits["train"])
        self.batch_size = min(loader.batch_size, num_train // self.world_size)
        self.eval_batch_size = self.batch_size * EVAL_BATCH_FACTOR
        if self._one_batch:
            self.batch_size = num_train // self.world_size
        sharing = here * jobs_at_once()
        self.num_workers = choose_num_workers(loader, self.spec, kind=kind, sharing=sharing)
        # Training and validation share what one process keeps, but each has workers of its own.
        processes, number = sharing * (2 * self.num_workers or 1), len(self.source.labels)
        self._keep: KeptImages | None = kept_images(
            loader.keep_decoded, processes=processes, cache=self._cache, sharing=sharing, num_images=number
        )

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
            self.source, self.splits[split], transform=self._train if training else self._eval, seed=self.seed,
            random_views=training and self.loader.augment.is_random, keep=self._keep if again else None,
        )  # fmt: skip

    def plain_dataset(self, split: Split) -> SplitDataset:
        """The images of a split, transformed as for the test."""
        source, indices = self.source, self.splits[split]
        return SplitDataset(source, indices, transform=self._eval, seed=self.seed, random_views=False, keep=self._keep)

    def read_images(self) -> None:
        """From now on, batches hold images again."""
        self._stored, self._some = {}, {}

    def read_from(self, stored: StoredSplits) -> None:
        """From now on, batches of these splits hold `Activations` in place of images."""
        self._keep = None  # training and validation use no image again; the memory is free
        self._some = dict(stored.positions)
        self._stored = {
            split: StoredDataset(of_split, torch.from_numpy(self.source.labels[self._images(split)]), cut=stored.cut)
            for split, of_split in stored.arrays.items()
        }

    def _images(self, split: Split) -> IntArray:
        """Of a split, those of which batches are made: all, or the few that are stored."""
        return self.splits[split][self._some.get(split, slice(None))]

    def stored(self, split: Split) -> StoredDataset | None:
        """What batches of a split hold in place of images; None where they hold images."""
        return self._stored.get(split)

    def stored_rows(self, split: Split, *, most: int | None = None) -> StoredRows:
        """All that is stored of a split, or the first `most` rows."""
        return self._stored[split].everything(*groups_and_weights(self.source, self._images(split)), most=most)

    def _loader(self, split: Split) -> Loader:
        training, again = split == "train", split != "test"
        batch_size = self.batch_size if training else self.eval_batch_size
        images = self._images(split)
        sampler = EpochSampler(
            len(images), shuffle=training, seed=self.seed, rank=self.rank, world_size=self.world_size, even=training,
            balance=self.source.labels[images] if training and self._balanced else None,
            weights=training_weights(self.source, images) if training and not self._one_batch else None,
        )  # fmt: skip
        if training and self.trainer is not None:
            sampler.set_epoch(self.trainer.current_epoch)  # workers of a resumed run fetch before Lightning says it
        if split in self._stored:
            batches = EpochBatches(sampler, batch_size=min(batch_size, len(sampler)), drop_last=training)
            return DataLoader(self._stored[split], batch_size=None, sampler=batches, pin_memory=pins_memory(self._kind))
        return DataLoader(
            self.dataset(split, again=again), batch_size=batch_size, sampler=sampler, drop_last=training,
            pin_memory=pins_memory(self._kind), num_workers=self.num_workers, worker_init_fn=worker_init(),
            persistent_workers=self.num_workers > 0 and again, prefetch_factor=PREFETCH if self.num_workers else None,
        )  # fmt: skip

"""Thawline's own parts, put together as a run puts them together. The only module here that imports the product."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from default_settings.grid import STRATEGIES, Depth
from default_settings.task_images import name_of
from judge.tasks import TASKS
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.data.input_spec import InputSpec
from thawline.data.sources import photo_crops
from thawline.data.sources.source import ImageSource, Split
from thawline.features.activations import at_cut
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.feature_store import StoredArray
from thawline.features.stored_dataset import StoredSplits
from thawline.freezing.bound_plan import bind
from thawline.machine.compute import choose_compute
from thawline.machine.memory import keep_freed_memory
from thawline.machine.number_formats import Precision
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse_where_faster
from thawline.models.heads import LinearHead
from thawline.models.weights import create_model
from thawline.runs.composed import Composed
from thawline.runs.quiet import quiet
from thawline.settings.data_settings import AugmentSettings
from thawline.settings.run_settings import Settings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps, plan_steps

__all__ = ["at_cut", "keep_freed_memory"]
ROOT = Path(__file__).resolve().parents[3]
IMAGE_SIZE = 112  # pixels; as scripts/judge/prepared.py
_BATCH = 64  # images that go through the frozen stages together
_OFF: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
)
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def source_of(images: str, photos: Path) -> ImageSource:
    """The product's source of a task's images; photographs that no package brings are taken from `photos`."""
    installed = photo_crops.photo_path

    def path(photo: photo_crops.Photo) -> Path:
        carried = photos / Path(photo.path).name
        return carried if carried.is_file() else installed(photo)

    photo_crops.photo_path = path
    try:
        return next(task.source() for task in TASKS.values() if name_of(task.name) == images)
    finally:
        photo_crops.photo_path = installed


def split_of(task: str, source: ImageSource, *, seed: int) -> Mapping[Split, Any]:
    return TASKS[task].splits(source, seed=seed)


@cache
def settings(task: str, depth: Depth) -> Settings:
    """What `python train.py data=... strategy=...` would use for this task's images."""
    images = name_of(task)
    data = "photo_crops_shifted" if images.startswith("photo_crops_") else images
    named = [f"data={data}", f"strategy={STRATEGIES[depth]}", f"strategy.unfreeze_depth={depth}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        cfg = compose("train", overrides=[*named, "data.num_workers=0"])
    return Composed(cfg).read().settings


def photo_files() -> list[Path]:
    """The photographs of which the sources make their crops."""
    return [photo_crops.photo_path(photo) for photo in photo_crops.PHOTOS]


def embedded_weights(name: str) -> dict[str, Tensor]:
    return dict(create_model(name, weights="embedded").state_dict())


def backbone_of(name: str, weights: Path) -> Backbone:
    return build_backbone(name, weights=str(weights), image_size=IMAGE_SIZE)


def device_and_precision(run_settings: Settings) -> tuple[torch.device, Precision]:
    compute = choose_compute(accelerator=run_settings.trainer.accelerator, precision=run_settings.trainer.precision)
    return compute.device, compute.precision


def data_of(
    source: ImageSource, run_settings: Settings, spec: InputSpec, *, seed: int, random: bool
) -> ImageDataModule:
    """Images of `source`, whose splits are all given; training images randomly as the task's settings say, or plain."""
    loader = run_settings.loader if random else replace(run_settings.loader, augment=AugmentSettings())
    return ImageDataModule(source, spec=spec, loader=loader, seed=seed)


def frozen_pass(backbone: Backbone, images: Tensor, cuts: Sequence[int], precision: Precision) -> list[Tensor]:
    """uint8 images (N, 3, S, S) -> what the frozen stages make of them at each cut, on the backbone's device."""
    device = backbone.mean.device
    fused = fuse_where_faster(backbone, max(cuts), dtype=precision.prefix, device=device)
    mode = Mode(precision.prefix, "eager" if fused is None else "fused", _BATCH)
    runner = PrefixRunner(backbone.eval(), [Tap(cut) for cut in cuts], mode, fused=fused)
    parts = [[rows.clone() for rows in runner(batch.to(device))] for batch in torch.split(images, _BATCH)]
    return [torch.cat(rows) for rows in zip(*parts, strict=True)]


def steps_of(data: ImageDataModule, run_settings: Settings) -> Steps:
    return plan_steps(data.num_train_batches, run_settings.trainer)


def classifier(
    backbone: Backbone, run_settings: Settings, *, num_classes: int, steps: Steps, precision: Precision, entry: int
) -> TransferClassifier:
    """A new head on `backbone`, which trains from stage `entry` on."""
    head = LinearHead(backbone.num_features, num_classes)
    bound = bind(run_settings.strategy, backbone, head)
    bound.apply(0)
    assert bound.first_training == entry
    prefix = FrozenPrefix(backbone, dtype=precision.prefix)
    return TransferClassifier(bound, num_classes=num_classes, optim=run_settings.optim, steps=steps, prefix=prefix)


class Rows:
    """Rows in memory, where the product's store has them in files.

    Args:
        tensor: (N, *row), on any device.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def rows(self, indices: Sequence[int]) -> Tensor:
        return self.tensor[torch.tensor(indices, device=self.tensor.device)]


def use_rows(data: ImageDataModule, rows: Mapping[Split, Tensor], *, cut: int) -> None:
    data.read_from(StoredSplits(cut, {split: [cast(StoredArray, Rows(rows[split]))] for split in _SPLITS}))


def train(
    model: TransferClassifier,
    data: ImageDataModule,
    steps: Steps,
    precision: Precision,
    *,
    seed: int,
    watching: L.Callback,
) -> None:
    """Fit as the product does, without its files."""
    with quiet():
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            precision=cast(Any, precision.trainer),
            max_epochs=steps.epochs,
            limit_train_batches=steps.batches,
            callbacks=[FreezeCallback.bound_to(model.bound), SeedEachStep(seed), watching],
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            **_OFF,
        )
        trainer.fit(model, datamodule=data)

"""A folder of images in batches, with everything else worked out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import timm
import torch

from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.training.datamodule import ImageDataModule


def place(data: ImageDataModule, *, rank: int, world_size: int, lightning_shares: bool = False) -> None:
    """As a trainer of several processes would."""
    data.trainer = cast(
        Any,
        SimpleNamespace(
            global_rank=rank,
            world_size=world_size,
            num_devices=world_size,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
            _accelerator_connector=SimpleNamespace(use_distributed_sampler=lightning_shares),
            current_epoch=0,
        ),
    )
    data.setup("fit")


def test_size_and_interpolation_come_from_the_backbone(image_folder: Path, tiny_backbone: Backbone) -> None:
    assert next(iter(ImageDataModule.from_folder(image_folder).val_dataloader()))[0].shape[2:] == (224, 224)
    ours = ImageDataModule.from_folder(image_folder, backbone=tiny_backbone, batch_size=4)
    images, labels = next(iter(ours.train_dataloader()))
    assert (images.shape, images.dtype, labels.dtype) == ((4, 3, 32, 32), torch.uint8, torch.int64)
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=64, depth=1)
    theirs = ImageDataModule.from_folder(image_folder, backbone=vit)
    assert next(iter(theirs.test_dataloader()))[0].shape[2:] == (64, 64)
    assert ImageDataModule.from_folder(image_folder, backbone=vit, image_size=48).spec.size == 48


def test_random_views_and_splits_are_settings(image_folder: Path) -> None:
    data = ImageDataModule.from_folder(image_folder, augment={"hflip": True}, val_fraction=0.25, num_workers=0)
    assert data.loader.augment.is_random
    assert len(data.splits["val"]) == 6


def test_the_process_comes_from_the_trainer(image_folder: Path) -> None:
    whole = ImageDataModule.from_folder(image_folder, image_size=32, batch_size=8)
    data = ImageDataModule.from_folder(image_folder, image_size=32, batch_size=64)
    assert data.batch_size == len(data.splits["train"])
    place(data, rank=1, world_size=2)
    assert data.batch_size == len(data.splits["train"]) // 2
    seen = torch.cat([labels for _, labels in data.test_dataloader()])
    everything = torch.cat([labels for _, labels in whole.test_dataloader()])
    assert torch.equal(seen, everything[1::2])


def test_a_process_without_an_image_is_refused(image_folder: Path) -> None:
    data = ImageDataModule.from_folder(image_folder, image_size=32, batch_size=4)
    with pytest.raises(UserError, match="4 val images for 5 processes: each needs at least one"):
        place(data, rank=0, world_size=5)  # the others would wait for the metrics of the fifth


def test_the_jobs_of_a_sweep_share_the_cores(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.training.workers.num_cores", lambda: 16)
    alone = ImageDataModule.from_folder(image_folder, image_size=32)
    monkeypatch.setenv("THAWLINE_JOBS_AT_ONCE", "4")
    shared = ImageDataModule.from_folder(image_folder, image_size=32)
    assert (alone.num_workers, shared.num_workers) == (4, 1)


def test_the_process_comes_from_the_environment(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    data = ImageDataModule.from_folder(image_folder, image_size=32)
    assert (data.rank, data.world_size) == (1, 2)


def test_sharing_the_images_out_twice_is_refused(image_folder: Path) -> None:
    data = ImageDataModule.from_folder(image_folder, image_size=32)
    with pytest.raises(UserError, match=r"give Trainer\(use_distributed_sampler=False\)"):
        place(data, rank=0, world_size=2, lightning_shares=True)


def test_what_is_wrong_is_told(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="from_folder: workers: no such argument; allowed are batch_size, num_workers"):
        ImageDataModule.from_folder(image_folder, workers=2)
    with pytest.raises(UserError, match="flip: no such argument of augment; allowed are enabled, min_scale"):
        ImageDataModule.from_folder(image_folder, augment={"flip": True})
    with pytest.raises(UserError, match="no such folder"):
        ImageDataModule.from_folder(tmp_path / "nothing")

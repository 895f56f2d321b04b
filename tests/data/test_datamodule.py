"""Batches as the classifier expects them."""

import logging
import shutil
from types import SimpleNamespace

import pytest
import torch

from thawline.data.datamodule import ImageDataModule
from thawline.data.sources.source import ImageSource
from thawline.models.backbone import InputSpec
from thawline.settings import AugmentSettings, LoaderSettings

SPEC = InputSpec(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear", crop_pct=0.9)


def module(source: ImageSource, **loader: object) -> ImageDataModule:
    settings = LoaderSettings(**{"num_workers": 0, "batch_size": 8, "augment": AugmentSettings(hflip=True), **loader})  # type: ignore[arg-type]
    return ImageDataModule(source, spec=SPEC, loader=settings, seed=0)


def test_training_batches_are_full_and_counted(colours: ImageSource) -> None:
    data = module(colours)  # 40 images: 28 train, 6 val, 6 test
    batches = list(data.train_dataloader())
    assert data.num_train_batches == len(batches) == 3
    images, labels = batches[0]
    assert (images.dtype, tuple(images.shape), tuple(labels.shape)) == (torch.uint8, (8, 3, 16, 16), (8,))


def test_every_validation_and_test_image_is_seen_once(colours: ImageSource) -> None:
    data = module(colours)
    assert sum(len(labels) for _, labels in data.val_dataloader()) == 6
    assert sum(len(labels) for _, labels in data.test_dataloader()) == 6


def test_a_batch_larger_than_the_training_split_shrinks(colours: ImageSource) -> None:
    data = module(colours, batch_size=500)
    assert (data.batch_size, data.num_train_batches) == (28, 1)


def test_workers_do_not_change_the_batches(colours: ImageSource) -> None:
    here, there = (list(module(colours, num_workers=n).train_dataloader()) for n in (0, 2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(here, there, strict=True))


def test_small_shared_memory_falls_back_to_the_main_process(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with caplog.at_level(logging.WARNING):
        assert module(colours, num_workers=4).num_workers == 0
    assert "--shm-size" in caplog.text


@pytest.mark.parametrize(("cores", "on_cpu", "workers"), [(2, True, 0), (16, True, 4), (2, False, 2), (64, False, 8)])
def test_workers_leave_the_cores_to_a_model_on_the_cpu(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, cores: int, on_cpu: bool, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    settings = LoaderSettings(batch_size=8)
    assert ImageDataModule(colours, spec=SPEC, loader=settings, seed=0, on_cpu=on_cpu).num_workers == workers

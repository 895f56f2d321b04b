"""Batches as the classifier expects them."""

import logging
import multiprocessing
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from thawline.data import keep
from thawline.data.input_spec import InputSpec
from thawline.data.sources.source import ImageSource
from thawline.features.stored_dataset import StoredSplits
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.datamodule import ImageDataModule

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


def load_counts(source: ImageSource, monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Counts, from now on, how often each image is loaded."""
    counts: Counter[int] = Counter()
    load = source.load

    def counted(index: int) -> Image.Image:
        counts[index] += 1
        return load(index)

    monkeypatch.setattr(source, "load", counted)
    return counts


@pytest.mark.parametrize("augment", [AugmentSettings(hflip=True), AugmentSettings()], ids=["random", "fixed"])
@pytest.mark.parametrize(("keep_decoded", "most"), [("auto", 1), (True, 1), (False, 3)])
def test_training_and_validation_images_are_loaded_once_unless_told_otherwise(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, augment: AugmentSettings, keep_decoded: object, most: int
) -> None:
    data = module(colours, keep_decoded=keep_decoded, augment=augment, batch_size=28)
    counts = load_counts(colours, monkeypatch)
    for _ in range(3):  # loaders made anew share what is kept
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
            list(loader)
    seen = {split: {counts[int(index)] for index in indices} for split, indices in data.splits.items()}
    assert seen == {"train": {most}, "val": {most}, "test": {3}}  # a run reads the test images once


@pytest.mark.parametrize(("keep_decoded", "num_kept"), [("auto", 5), (True, 28)])
def test_auto_keeps_within_its_budget_and_true_without(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, keep_decoded: object, num_kept: int
) -> None:
    bytes_of_5_images = 5 * 3 * 16 * 16
    monkeypatch.setattr(keep, "available_memory", lambda: 4 * bytes_of_5_images)  # a quarter of it is the budget
    data = module(colours, keep_decoded=keep_decoded, augment=AugmentSettings(), batch_size=28)
    counts = load_counts(colours, monkeypatch)
    for _ in range(2):
        list(data.train_dataloader())
    assert sorted(counts.values()) == [1] * num_kept + [2] * (28 - num_kept)


@pytest.mark.parametrize(("num_workers", "world_size", "processes"), [(0, 1, 1), (0, 2, 2), (2, 1, 4), (3, 2, 12)])
def test_the_budget_is_divided_among_all_processes_that_load(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, num_workers: int, world_size: int, processes: int
) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 4 * 1200)
    settings = LoaderSettings(batch_size=8, num_workers=num_workers)
    data = ImageDataModule(colours, spec=SPEC, loader=settings, seed=0, world_size=world_size)
    kept = data.dataset("val", again=True).keep
    assert kept is not None
    assert kept.budget == 1200 / processes


@pytest.mark.parametrize("augment", [AugmentSettings(hflip=True), AugmentSettings()], ids=["random", "fixed"])
def test_keeping_changes_no_batch_in_any_process(colours: ImageSource, augment: AugmentSettings) -> None:
    def epochs(*, keep_decoded: object, num_workers: int) -> list[torch.Tensor]:
        data = module(colours, keep_decoded=keep_decoded, num_workers=num_workers, augment=augment)
        train, val = data.train_dataloader(), data.val_dataloader()
        batches = []
        for epoch in range(3):
            train.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            batches += [images for loader in (train, val) for images, _ in loader]
        return batches

    expected = epochs(keep_decoded=False, num_workers=0)
    for num_workers in (0, 2):
        batches = epochs(keep_decoded="auto", num_workers=num_workers)
        assert all(torch.equal(a, b) for a, b in zip(batches, expected, strict=True))


def counted_everywhere(source: ImageSource, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts, from now on, the images that forked processes load."""
    loads = multiprocessing.Value("i", 0)
    load = source.load

    def counted(index: int) -> Image.Image:
        with loads.get_lock():
            loads.value += 1
        return load(index)

    monkeypatch.setattr(source, "load", counted)
    return loads


@pytest.mark.skipif(sys.platform != "linux", reason="counts in memory that only a forked process shares")
def test_workers_keep_images_from_one_epoch_to_the_next(colours: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    data = module(colours, keep_decoded="auto", num_workers=1, augment=AugmentSettings(), batch_size=28)
    loads = counted_everywhere(colours, monkeypatch)
    loader = data.train_dataloader()
    for _ in range(3):
        list(loader)
    assert loads.value == 28


def test_nothing_is_kept_once_activations_are_stored(colours: ImageSource) -> None:
    data = module(colours, keep_decoded=True)
    assert data.dataset("train", again=True).keep is not None
    data.read_from(StoredSplits(1, {}))
    assert data.dataset("train", again=True).keep is None


def test_small_shared_memory_falls_back_to_the_main_process(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with caplog.at_level(logging.WARNING):
        assert module(colours, num_workers=4).num_workers == 0
    assert "--shm-size" in caplog.text


def test_as_many_workers_as_shared_memory_has_room_for(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of_each = 3 * 8 * 2 * 3 * SPEC.size**2  # batches in flight x images x the factor of validation x bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * of_each + 1))
    with caplog.at_level(logging.WARNING):
        data = ImageDataModule(colours, spec=SPEC, loader=LoaderSettings(batch_size=8, num_workers=4), seed=0)
    assert data.num_workers == 3
    assert "with 3 instead" in caplog.text
    assert "--shm-size" in caplog.text


@pytest.mark.parametrize(
    ("cores", "kind", "workers"), [(2, "cpu", 0), (16, "cpu", 4), (2, "cuda", 2), (64, "cuda", 64), (64, "mps", 8)]
)
def test_workers_leave_the_cores_to_a_model_on_the_cpu(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, cores: int, kind: str, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    settings = LoaderSettings(batch_size=8)
    assert ImageDataModule(colours, spec=SPEC, loader=settings, seed=0, kind=kind).num_workers == workers


FIXED, RANDOM = AugmentSettings(), AugmentSettings(hflip=True)


def spilling(source: ImageSource, folder: Path, *, max_gb: float = 1.0, **loader: object) -> ImageDataModule:
    settings = LoaderSettings(**{"num_workers": 0, "batch_size": 28, **loader})  # type: ignore[arg-type]
    cache = CacheSettings(dir=str(folder / "cache"), max_gb=max_gb)
    return ImageDataModule(source, spec=SPEC, loader=settings, seed=0, cache=cache)


@pytest.mark.parametrize("augment", [RANDOM, FIXED], ids=["random", "fixed"])
def test_what_memory_has_no_room_for_is_read_from_a_file_that_nobody_sees(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, augment: AugmentSettings
) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 4 * 5 * 3 * 16 * 16)  # five transformed images of 40
    expected = [images for images, _ in three_epochs(module(colours, augment=augment, batch_size=28))]
    data = spilling(colours, tmp_path, augment=augment)
    counts = load_counts(colours, monkeypatch)
    batches = [images for images, _ in three_epochs(data)]
    assert all(torch.equal(a, b) for a, b in zip(batches, expected, strict=True))
    assert set(counts.values()) == {1}
    assert len(counts) == 28 + 6
    assert list((tmp_path / "cache").iterdir()) == []  # what a killed run leaves


def three_epochs(data: ImageDataModule) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for epoch in range(3):
        for loader in (data.train_dataloader(), data.val_dataloader()):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            yield from loader


def test_the_file_has_a_limit_and_memory_takes_a_few_more(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    each = 3 * 16 * 16
    monkeypatch.setattr(keep, "available_memory", lambda: 4 * 5 * each)
    data = spilling(colours, tmp_path, augment=FIXED, max_gb=7.5 * each / 1e9)
    counts = load_counts(colours, monkeypatch)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            list(data.train_dataloader())
    assert sorted(counts.values()) == [1] * (7 + 5) + [2] * (28 - 12)
    assert "the first 5 are kept in memory (0 MB) and 7 in a temporary file (0 MB)" in caplog.text


def test_without_a_place_for_the_file_the_others_are_decoded_again(
    colours: ImageSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 0)
    (tmp_path / "cache").write_text("a file where the folder would be")
    data = spilling(colours, tmp_path, augment=FIXED)
    counts = load_counts(colours, monkeypatch)
    for _ in range(2):
        list(data.train_dataloader())
    assert set(counts.values()) == {2}


@pytest.mark.skipif(sys.platform != "linux", reason="counts in memory that only a forked process shares")
def test_workers_share_one_file(colours: ImageSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 0)
    data = spilling(colours, tmp_path, augment=FIXED, num_workers=2, batch_size=4)
    loads = counted_everywhere(colours, monkeypatch)
    loader = data.train_dataloader()
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        list(loader)
    assert loads.value == 28  # an image comes to another worker in another epoch


def test_weights_of_the_images_count_in_training_only(colours: ImageSource) -> None:
    colours.weights = torch.where(torch.from_numpy(colours.labels) == 0, 3.0, 1.0).double().numpy()  # type: ignore[attr-defined]
    data = module(colours, batch_size=28)
    labels = torch.cat([of_batch for _, of_batch in data.train_dataloader()])
    reds = int((colours.labels[data.splits["train"]] == 0).sum())
    assert abs(int((labels == 0).sum()) - 28 * 3 * reds / (28 + 2 * reds)) < 1
    for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
        seen = torch.cat([of_batch for _, of_batch in loader])
        assert seen.tolist() == colours.labels[data.splits[split]].tolist()

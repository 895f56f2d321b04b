"""Processes that load images and were started by spawn, as on Windows and macOS, get the same images as forked ones."""

import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shard_files import encoded, shard

from thawline.data.input_spec import InputSpec
from thawline.data.sources.digits import Digits
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.shards import ShardSource
from thawline.data.sources.source import ImageSource
from thawline.data.sources.table import TableSource
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.datamodule import ImageDataModule

COUNT = 30
SPEC = InputSpec(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0)
RANDOM = LoaderSettings(augment=AugmentSettings(min_scale=0.5, hflip=True), num_workers=0, batch_size=4)


def a_folder(root: Path) -> ImageSource:
    for number in range(COUNT):
        path = root / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(number))
    return FolderSource(root=root)


def a_table(root: Path) -> ImageSource:
    a_folder(root)
    rows = [f"{('cat', 'dog')[number % 2]}/{number}.png,{number % 2}" for number in range(COUNT)]
    (root / "table.csv").write_text("\n".join(["path,label", *rows]))
    return TableSource(file=root / "table.csv")


def tar_shards(root: Path) -> ImageSource:
    (root / "0.tar").write_bytes(shard(0, COUNT))
    return ShardSource(shards=str(root / "*.tar"))


def digits(root: Path) -> ImageSource:
    return Digits(num_images=100)


def data_of(source: ImageSource, loader: LoaderSettings, folder: Path) -> ImageDataModule:
    cache = CacheSettings(dir=str(folder / "cache"))
    return ImageDataModule(source, spec=SPEC, loader=loader, seed=0, kind="cpu", cache=cache)


@pytest.mark.parametrize("make", [a_folder, a_table, tar_shards, digits])
@pytest.mark.parametrize("keep", ["auto", True, False])
def test_a_data_set_travels_after_it_was_used(
    make: Callable[[Path], ImageSource], keep: bool | str, tmp_path: Path
) -> None:
    data = data_of(make(tmp_path), replace(RANDOM, keep_decoded=keep), tmp_path)
    dataset = data.dataset("train", again=True)
    before = [dataset[0, index][0] for index in range(3)]  # what is open now must not travel
    travelled = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(travelled[0, index][0], image) for index, image in enumerate(before))


@pytest.mark.slow
def test_spawned_processes_load_the_same_batches(tmp_path: Path) -> None:
    source, method = a_folder(tmp_path), multiprocessing.get_start_method(allow_none=True)
    alone = [images for images, _ in data_of(source, RANDOM, tmp_path).train_dataloader()]
    multiprocessing.set_start_method("spawn", force=True)
    try:
        loader = data_of(source, replace(RANDOM, num_workers=1), tmp_path).train_dataloader()
        epochs = [[images for images, _ in loader] for _ in range(2)]
    finally:
        multiprocessing.set_start_method(method, force=True)
    assert len(alone) > 1
    assert all(len(epoch) == len(alone) and all(map(torch.equal, epoch, alone)) for epoch in epochs)

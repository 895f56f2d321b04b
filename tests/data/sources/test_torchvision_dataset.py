import importlib.util
import json
import pickle
import struct
import sys
import types
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from thawline.data.sources.torchvision_dataset import DATASETS, TorchvisionDataset
from thawline.errors import UserError

WITHOUT_PCAM = [name for name in DATASETS if name != "pcam"]  # it needs h5py


def put(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level, dtype=np.uint8)).save(path)


def idx(array: np.ndarray) -> bytes:
    """The idx format of MNIST: two zeros, type 8 (uint8), number of axes, sizes, values."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_fashion_mnist(root: Path) -> None:
    folder = root / "FashionMNIST/raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 5), ("t10k", 3)):
        images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count, dtype=np.uint8)[::-1].copy()))


def make_eurosat(root: Path) -> None:
    for level, name in enumerate(("AnnualCrop/AnnualCrop_1.png", "Forest/Forest_1.png", "Forest/Forest_2.png")):
        put(root / "eurosat/2750" / name, level)


def make_oxford_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    (base / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\nbeagle_2 2 2 1\nAbyssinian_3 1 1 1\n")
    (base / "annotations/test.txt").write_text("beagle_9 2 2 1\nAbyssinian_8 1 1 1\n")
    for level, name in enumerate(("Abyssinian_1", "beagle_2", "Abyssinian_3", "beagle_9", "Abyssinian_8")):
        put(base / f"images/{name}.png", level)
        (base / f"images/{name}.png").rename(base / f"images/{name}.jpg")  # lossless, whatever the name says


def make_food101(root: Path) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for part, files in (("train", {"pie": ["pie/1"], "soup": ["soup/2"]}), ("test", {"pie": [], "soup": ["soup/3"]})):
        (base / f"meta/{part}.json").write_text(json.dumps(files))
    for level, name in enumerate(("pie/1", "soup/2", "soup/3")):
        put(base / f"images/{name}.png", level)
        (base / f"images/{name}.png").rename(base / f"images/{name}.jpg")


def levels(source: TorchvisionDataset) -> list[int]:
    images = [source.load(i) for i in range(len(source.labels))]
    assert {image.mode for image in images} == {"RGB"}
    return [int(np.asarray(image)[0, 0, 0]) for image in images]


def lists(source: TorchvisionDataset) -> dict[str, list[int]]:
    return {split: indices.tolist() for split, indices in source.splits.items()}


def test_fashion_mnist_from_made_files(tmp_path) -> None:
    make_fashion_mnist(tmp_path)
    source = TorchvisionDataset(dataset="fashion_mnist", root=str(tmp_path))
    np.testing.assert_array_equal(source.labels, [4, 3, 2, 1, 0, 2, 1, 0])
    assert lists(source) == {"train": [0, 1, 2, 3, 4], "test": [5, 6, 7]}
    assert levels(source) == [0, 1, 2, 3, 4, 0, 1, 2]
    assert len(source.class_names) == 10
    assert source.class_names[0] == "T-shirt/top"
    assert source.describe(6).endswith("test image 1")
    with pytest.raises(IndexError):
        source.load(8)


def test_eurosat_from_made_files_has_no_splits(tmp_path) -> None:
    make_eurosat(tmp_path)
    source = TorchvisionDataset(dataset="eurosat", root=str(tmp_path))
    np.testing.assert_array_equal(source.labels, [0, 1, 1])
    assert source.splits == {}
    assert levels(source) == [0, 1, 2]
    assert source.class_names == ["AnnualCrop", "Forest"]
    assert source.describe(2).endswith("Forest_2.png")


def test_oxford_pets_from_made_files(tmp_path) -> None:
    make_oxford_pets(tmp_path)
    source = TorchvisionDataset(dataset="oxford_pets", root=str(tmp_path))
    np.testing.assert_array_equal(source.labels, [0, 1, 0, 1, 0])
    assert lists(source) == {"train": [0, 1, 2], "test": [3, 4]}
    assert levels(source) == [0, 1, 2, 3, 4]
    assert source.class_names == ["Abyssinian", "Beagle"]


def test_food101_from_made_files(tmp_path) -> None:
    make_food101(tmp_path)
    source = TorchvisionDataset(dataset="food101", root=str(tmp_path))
    np.testing.assert_array_equal(source.labels, [0, 1, 1])
    assert lists(source) == {"train": [0, 1], "test": [2]}
    assert levels(source) == [0, 1, 2]


class MadeHdf5:
    """Stands in for h5py.File over numpy's own format: h5py is optional and not installed for the tests."""

    def __init__(self, path: Path) -> None:
        self.content = np.load(path)

    def __enter__(self) -> "np.lib.npyio.NpzFile":
        return self.content

    def __exit__(self, *_: object) -> None:
        self.content.close()


def test_pcam_from_made_files(tmp_path, monkeypatch) -> None:
    module = types.ModuleType("h5py")
    module.__spec__ = importlib.util.spec_from_loader("h5py", loader=None)
    module.File = MadeHdf5
    monkeypatch.setitem(sys.modules, "h5py", module)
    (tmp_path / "pcam").mkdir()
    for part, (name, count) in enumerate((("train", 3), ("valid", 2), ("test", 1))):
        pixels = np.full((count, 96, 96, 3), part, dtype=np.uint8)
        targets = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) % 2
        for kind, content in (("x", pixels), ("y", targets)):
            with open(tmp_path / f"pcam/camelyonpatch_level_2_split_{name}_{kind}.h5", "wb") as file:
                np.savez(file, **{kind: content})
    source = TorchvisionDataset(dataset="pcam", root=str(tmp_path))
    np.testing.assert_array_equal(source.labels, [0, 1, 0, 0, 1, 0])
    assert lists(source) == {"train": [0, 1, 2], "val": [3, 4], "test": [5]}
    assert levels(source) == [0, 0, 0, 1, 1, 2]
    assert source.class_names == ["normal", "tumor"]
    assert pickle.loads(pickle.dumps(source)).load(5).size == (96, 96)  # for worker processes


def test_fewer_images_are_the_same_images(tmp_path: Path) -> None:
    make_oxford_pets(tmp_path)
    whole = TorchvisionDataset(dataset="oxford_pets", root=str(tmp_path))
    source = TorchvisionDataset(dataset="oxford_pets", root=str(tmp_path), max_images=4)
    assert lists(source) == {"train": [0, 1], "test": [2, 3]}  # one of every class in each
    assert source.labels.tolist() == [whole.labels[level] for level in levels(source)]  # image i has the level i
    assert levels(source)[2:] == [3, 4]
    assert source.fingerprint() != whole.fingerprint()
    assert len(TorchvisionDataset(dataset="oxford_pets", root=str(tmp_path), max_per_class=2).labels) == 4
    with pytest.raises(UserError, match=r"data\.max_images=3: too few; at least 4 are needed"):
        TorchvisionDataset(dataset="oxford_pets", root=str(tmp_path), max_images=3)


def test_source_can_be_sent_to_worker_processes(tmp_path) -> None:
    make_eurosat(tmp_path)
    source = TorchvisionDataset(dataset="eurosat", root=str(tmp_path))
    assert levels(pickle.loads(pickle.dumps(source))) == levels(source)


def test_fingerprint_follows_the_files(tmp_path) -> None:
    make_eurosat(tmp_path)
    before = TorchvisionDataset(dataset="eurosat", root=str(tmp_path)).fingerprint()
    assert TorchvisionDataset(dataset="eurosat", root=str(tmp_path)).fingerprint() == before
    put(tmp_path / "eurosat/2750/Forest/Forest_3.png", 9)
    assert TorchvisionDataset(dataset="eurosat", root=str(tmp_path)).fingerprint() != before


@pytest.mark.parametrize("name", WITHOUT_PCAM)
def test_absent_data_set_says_what_to_do(tmp_path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        TorchvisionDataset(dataset=name, root=str(tmp_path))
    text = str(caught.value)
    folder = tmp_path / DATASETS[name].folder
    assert text.startswith(f"data.root={tmp_path}: {name} is not in {folder} (")
    assert text.endswith("set data.download=true, or put its files there")
    assert "\n" not in text


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), OSError("disk full"), RuntimeError("Error downloading\nit")]
)
def test_failing_download_says_what_to_do(tmp_path, monkeypatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets.eurosat, "download_and_extract_archive", fail)
    with pytest.raises(UserError) as caught:
        TorchvisionDataset(dataset="eurosat", root=str(tmp_path), download=True)
    text = str(caught.value)
    assert text.startswith("data.download=true: eurosat could not be fetched (")
    assert str(tmp_path / "eurosat") in text
    assert "\n" not in text


def test_unknown_name_and_unset_root() -> None:
    with pytest.raises(UserError, match="dataset='mnist': allowed are fashion_mnist, oxford_pets, food101"):
        TorchvisionDataset(dataset="mnist", root="data")
    with pytest.raises(UserError, match=r"data\.root=''"):
        TorchvisionDataset(dataset="eurosat", root="")


def test_pcam_without_h5py_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install h5py"):
        TorchvisionDataset(dataset="pcam", root=str(tmp_path))

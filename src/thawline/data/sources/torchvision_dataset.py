"""Five of torchvision's data sets, by name; downloaded only on request.

Sources: Fashion-MNIST, Xiao et al. 2017, arXiv:1708.07747. Oxford-IIIT Pet, Parkhi et al. 2012, CVPR. Food-101,
Bossard et al. 2014, ECCV. EuroSAT, Helber et al. 2019, IEEE JSTARS 12(7). PatchCamelyon, Veeling et al. 2018, MICCAI.
"""

import importlib
import importlib.util
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.decode import decode
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.limited import limited
from thawline.data.sources.packed_images import RowIndex
from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.errors import UserError


class _Images(Protocol):
    """The images of one part of a data set; picklable, and cheap to copy to worker processes."""

    def load(self, index: int) -> Image.Image: ...

    def describe(self, index: int) -> str: ...


@dataclass(frozen=True)
class _Files:
    paths: NDArray[np.str_]

    def load(self, index: int) -> Image.Image:
        return decode(str(self.paths[index]))

    def describe(self, index: int) -> str:
        return str(self.paths[index])


@dataclass(frozen=True)
class _Pixels:
    pixels: NDArray[np.uint8]  # (N, H, W)
    name: str

    def load(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index]).convert("RGB")

    def describe(self, index: int) -> str:
        return f"{self.name} image {index}"


@dataclass(frozen=True)
class _Hdf5:
    path: Path  # its data set "x" holds uint8 (N, H, W, 3)

    def load(self, index: int) -> Image.Image:
        # Opened anew for each image, because an open file cannot be shared with forked processes.
        with _hdf5_file(self.path) as file:
            return Image.fromarray(np.asarray(file["x"][index], dtype=np.uint8)).convert("RGB")

    def describe(self, index: int) -> str:
        return f"{self.path} image {index}"


@dataclass(frozen=True)
class _Part:
    images: _Images
    labels: IntArray  # (N,)
    class_names: Sequence[str]


@dataclass(frozen=True)
class _Spec:
    """How one data set is opened.

    Attributes:
        factory: Name of the class in `torchvision.datasets`.
        folder: Its folder below `data.root`.
        parts: Arguments of the factory for each split; None stands for a data set without splits.
        read: Turns an opened torchvision data set into images, labels and class names.
    """

    factory: str
    folder: str
    parts: Mapping[Split | None, Mapping[str, object]]
    read: Callable[[Any], _Part]


def _hdf5_file(path: Path) -> Any:
    return importlib.import_module("h5py").File(path)  # an optional package, so never imported above


def _read_fashion_mnist(dataset: Any) -> _Part:
    part = "train" if dataset.train else "test"
    images = _Pixels(dataset.data.numpy(), f"{dataset.raw_folder} {part}")
    return _Part(images, dataset.targets.numpy().astype(np.int64), dataset.classes)


def _read_files(dataset: Any) -> _Part:
    # In two data sets these lists are private; the only public way is to decode every image.
    if hasattr(dataset, "samples"):
        paths, labels = [path for path, _ in dataset.samples], dataset.targets
    else:
        paths, labels = getattr(dataset, "_images", None) or dataset._image_files, dataset._labels
    return _Part(_Files(np.array([str(path) for path in paths])), np.array(labels, dtype=np.int64), dataset.classes)


def _read_pcam(dataset: Any) -> _Part:
    folder, files = Path(dataset.root) / "pcam", dataset._FILES[dataset._split]
    with _hdf5_file(folder / files["targets"][0]) as file:
        labels = np.asarray(file["y"][:, 0, 0, 0], dtype=np.int64)  # (N, 1, 1, 1) -> (N,)
    return _Part(_Hdf5(folder / files["images"][0]), labels, ["normal", "tumor"])


DATASETS: Mapping[str, _Spec] = {
    "fashion_mnist": _Spec(
        "FashionMNIST", "FashionMNIST", {"train": {"train": True}, "test": {"train": False}}, _read_fashion_mnist
    ),
    "oxford_pets": _Spec(
        "OxfordIIITPet", "oxford-iiit-pet", {"train": {"split": "trainval"}, "test": {"split": "test"}}, _read_files
    ),
    "food101": _Spec("Food101", "food-101", {"train": {"split": "train"}, "test": {"split": "test"}}, _read_files),
    "eurosat": _Spec("EuroSAT", "eurosat", {None: {}}, _read_files),
    "pcam": _Spec(
        "PCAM", "pcam", {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}}, _read_pcam
    ),
}


class TorchvisionDataset:
    """One of torchvision's data sets: fashion_mnist, oxford_pets, food101, eurosat, pcam.

    Args:
        dataset: Its name.
        root: The data set's folder lies, or is made, in this folder.
        download: Fetch it if it is absent.
        max_images, max_per_class, subset_seed: See `limited`.
    Raises:
        UserError: the name is unknown, the data set is absent and `download` is false, the download fails, or a limit
            is too low.
    """

    def __init__(
        self,
        *,
        dataset: str,
        root: str,
        download: bool = False,
        max_images: int | None = None,
        max_per_class: int | None = None,
        subset_seed: int = 0,
    ) -> None:
        if dataset not in DATASETS:
            raise UserError(f"data.source.dataset={dataset!r}: allowed are {', '.join(DATASETS)}")
        if not root:
            raise UserError(f"data.root={root!r}: name the folder that holds, or receives, {dataset}")
        spec = DATASETS[dataset]
        self.name = dataset
        self._folder = Path(root).expanduser() / spec.folder
        if dataset == "pcam" and importlib.util.find_spec("h5py") is None:
            raise UserError("data=pcam needs the package h5py: run pip install h5py")
        self._parts = [_open(dataset, arguments, root=root, download=download) for arguments in spec.parts.values()]
        self._starts = np.cumsum([0] + [len(part.labels) for part in self._parts])  # (parts + 1,)
        whole = self._index(list(spec.parts))
        self._total = len(whole.rows)
        index = limited(whole, max_images=max_images, max_per_class=max_per_class, seed=subset_seed)
        assert isinstance(index, RowIndex)
        self._rows = index.rows
        self.class_names: Sequence[str] = index.class_names
        self.labels: IntArray = index.labels
        self.groups: IntArray = np.arange(len(self.labels), dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = index.splits()

    def _index(self, splits: Sequence[Split | None]) -> RowIndex:
        """Of all images of all parts."""
        labels = np.concatenate([part.labels for part in self._parts])
        parts = [np.full(len(part.labels), SPLITS.index(s)) for s, part in zip(splits, self._parts, strict=True) if s]
        return RowIndex(
            list(self._parts[0].class_names),
            np.zeros(len(labels), dtype=np.str_),  # `describe` names an image
            labels,
            np.concatenate(parts).astype(np.int64) if parts else None,
            rows=np.arange(len(labels), dtype=np.int64),
        )

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in the data set's own size."""
        images, position = self._locate(index)
        return images.load(position)

    def describe(self, index: int) -> str:
        images, position = self._locate(index)
        return images.describe(position)

    def fingerprint(self) -> str:
        """A digest of the labels and of the names, sizes and times of all files of the data set."""
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        states = [(path.relative_to(self._folder).as_posix(), path.stat()) for path in files]
        lines = "\n".join(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)
        taken = () if len(self._rows) == self._total else (self._rows,)
        return fingerprint(self.name, self.labels, lines, *taken)

    def _locate(self, index: int) -> tuple[_Images, int]:
        if not 0 <= index < len(self.labels):
            raise IndexError(f"image {index} of {len(self.labels)}")
        row = int(self._rows[index])
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._parts[part].images, int(row - self._starts[part])


def _open(name: str, arguments: Mapping[str, object], *, root: str, download: bool) -> _Part:
    from torchvision import datasets  # here: torchvision takes a second to import

    spec = DATASETS[name]
    folder = Path(root).expanduser() / spec.folder
    try:
        opened = getattr(datasets, spec.factory)(root=str(Path(root).expanduser()), download=download, **arguments)
        return spec.read(opened)
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if download:
            raise UserError(
                f"data.download=true: {name} could not be fetched ({reason}); "
                f"check the network and the free disk space, or put its files into {folder}"
            ) from error
        raise UserError(
            f"data.root={root}: {name} is not in {folder} ({reason}); set data.download=true, or put its files there"
        ) from error

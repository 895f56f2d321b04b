"""Silhouettes of ten animals, 28 x 28 pixels, from the package animal_mnist: far from ImageNet, 10,000 images.

Images: MIT, the package's author. The package's code needs TensorFlow, but this module reads only its two data files.
They are pickles: they are read only if their checksums are the known ones, and only NumPy arrays are made from them.
Install the package without its dependencies: pip install --no-deps animal_mnist==0.4
"""

import gzip
import hashlib
import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.packaged_files import installed_folder
from thawline.data.sources.source import IntArray, Split
from thawline.data.sources.subset import checked_subset
from thawline.errors import UserError

CLASS_NAMES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
MIN_IMAGES = 20  # chosen: two per class on average; whether they can be split is checked where they are split
_FOLDER = Path("data") / "Animal_MNIST"
# Name -> SHA-256 of the files in version 0.4.
_FILES = {
    "animal_data_version_3.gz": "68a30346781a0984f839463a4615d2decb899d1ce65091bb92586311754a34ce",
    "animal_label_version_3.gz": "dec8dba7c469830989fbab46825021a08a38470753a512f27ada847eced97b57",
}
_INSTALL = "run pip install --no-deps animal_mnist==0.4"


class AnimalSilhouettes:
    """Animal silhouettes, 28 x 28 pixels, ten classes.

    Args:
        num_images: Size of a stratified random subset, 20 to 10,000; None for all.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or animal_mnist 0.4 is not installed.
    """

    name = "animal_silhouettes"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        pixels, labels = (_read(package_folder() / _FOLDER / name) for name in _FILES)
        labels = labels.reshape(-1).astype(np.int64)
        rows = checked_subset(labels, num_images, seed=subset_seed, minimum=MIN_IMAGES, source=self.name)
        self._rows = rows
        self._pixels = pixels.reshape(-1, 28, 28)[rows]  # (N, 28, 28)
        self.class_names: Sequence[str] = list(CLASS_NAMES)
        self.labels: IntArray = labels[rows]
        self.groups: IntArray = np.unique(self._pixels.reshape(len(rows), -1), axis=0, return_inverse=True)[1]
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return silhouette `index`, mode RGB, 28 x 28."""
        return Image.fromarray(self._pixels[index]).convert("RGB")

    def describe(self, index: int) -> str:
        return f"animal_mnist row {self._rows[index]}"

    def fingerprint(self) -> str:
        return fingerprint(self.name, self._pixels, self.labels)


def package_folder() -> Path:
    missing = f"data=animal_silhouettes needs the package animal_mnist: {_INSTALL}"
    return installed_folder("animal_mnist", missing=missing)


class _ArraysOnly(pickle.Unpickler):
    """Makes NumPy arrays and refuses every other class that a file names."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # the same function, wherever this NumPy keeps it
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def _read(path: Path) -> NDArray[Any]:
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise UserError(f"data=animal_silhouettes: {path} cannot be read ({error.strerror}); {_INSTALL}") from error
    if hashlib.sha256(packed).hexdigest() != _FILES[path.name]:
        raise UserError(f"data=animal_silhouettes: {path} is not the file of animal_mnist 0.4; {_INSTALL}")
    array: NDArray[Any] = _ArraysOnly(io.BytesIO(gzip.decompress(packed))).load()
    return array

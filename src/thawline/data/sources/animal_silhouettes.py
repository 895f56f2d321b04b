"""Silhouettes of ten animals, 28 x 28 pixels, from the package animal_mnist: far from ImageNet, 10,000 images.

Images: MIT, the package's author. The package's code needs TensorFlow; its two data files do not, and are read here:
they are pickles, so they are read only if they are byte for byte the ones known, and only NumPy arrays are made of
them. Install without what it asks for: pip install --no-deps animal_mnist==0.4
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
_HOW = "run pip install --no-deps animal_mnist==0.4"


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
        chosen = checked_subset(labels, num_images, seed=subset_seed, minimum=MIN_IMAGES, source=self.name)
        self._chosen = chosen
        self._pixels = pixels.reshape(-1, 28, 28)[chosen]  # (N, 28, 28)
        self.class_names: Sequence[str] = list(CLASS_NAMES)
        self.labels: IntArray = labels[chosen]
        self.groups: IntArray = np.unique(self._pixels.reshape(len(chosen), -1), axis=0, return_inverse=True)[1]
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return silhouette `index`, mode RGB, 28 x 28."""
        return Image.fromarray(self._pixels[index]).convert("RGB")

    def describe(self, index: int) -> str:
        """Return the row of the package's table that silhouette `index` is."""
        return f"animal_mnist row {self._chosen[index]}"

    def fingerprint(self) -> str:
        """Return a digest of the chosen pixels and labels."""
        return fingerprint(self.name, self._pixels, self.labels)


def package_folder() -> Path:
    """Return where animal_mnist is installed, without importing it.

    Raises:
        UserError: it is not installed.
    """
    return installed_folder("animal_mnist", missing=f"data=animal_silhouettes needs the package animal_mnist: {_HOW}")


class _ArraysOnly(pickle.Unpickler):
    """Makes NumPy arrays and nothing else, whatever the file says."""

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
        raise UserError(f"data=animal_silhouettes: {path} cannot be read ({error.strerror}); {_HOW}") from error
    if hashlib.sha256(packed).hexdigest() != _FILES[path.name]:
        raise UserError(f"data=animal_silhouettes: {path} is not the file of animal_mnist 0.4; {_HOW}")
    array: NDArray[Any] = _ArraysOnly(io.BytesIO(gzip.decompress(packed))).load()
    return array

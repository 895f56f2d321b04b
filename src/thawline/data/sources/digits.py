"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels, offline and tiny.

Data: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0;
the copy in scikit-learn is its test part.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.source import IntArray, Split
from thawline.data.sources.subset import checked_subset
from thawline.errors import UserError

MIN_IMAGES = 20  # chosen: two per class on average; whether they can be split is checked where they are split
_WHITE = 16  # scikit-learn's largest value: the number of set pixels in a 4 x 4 block


class Digits:
    """Handwritten digits, 8 x 8 pixels, ten classes.

    Args:
        num_images: Size of a stratified random subset, 20 to 1,797; None for all.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or scikit-learn is not installed.
    """

    name = "digits"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        values, labels = _read()
        rows = checked_subset(labels, num_images, seed=subset_seed, minimum=MIN_IMAGES, source=self.name)
        self._rows = rows
        self._pixels = to_8_bit(values[rows])  # (N, 8, 8)
        self.class_names: Sequence[str] = [str(digit) for digit in range(10)]
        self.labels: IntArray = labels[rows]
        self.groups: IntArray = np.arange(len(rows), dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return digit `index`, mode RGB, 8 x 8."""
        return Image.fromarray(self._pixels[index]).convert("RGB")

    def describe(self, index: int) -> str:
        return f"sklearn.datasets.load_digits row {self._rows[index]}"

    def fingerprint(self) -> str:
        return fingerprint(self.name, self._pixels, self.labels)


def to_8_bit(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale 0..16 to 0..255, rounding halves to even."""
    return np.rint(values * (255.0 / _WHITE)).astype(np.uint8)


def _read() -> tuple[NDArray[np.float64], IntArray]:
    try:
        from sklearn.datasets import load_digits  # here: scikit-learn takes a second to import
    except ImportError as error:
        raise UserError('data=digits needs the package scikit-learn: run pip install "thawline[demo]"') from error

    digits = load_digits()
    return np.asarray(digits.images), np.asarray(digits.target, dtype=np.int64)

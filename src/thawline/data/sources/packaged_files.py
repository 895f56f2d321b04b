"""Images that an installed package ships as files."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from thawline.data.decode import decode
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.source import IntArray, Split
from thawline.data.sources.subset import checked_subset
from thawline.errors import UserError


class PackagedFiles:
    """Files below a folder, or a stratified random subset of them. Every image is a group by itself; no splits.

    Args:
        paths: Paths of all images, relative to `folder`.
        labels: Their classes, (N,), int64, in [0, K).
        minimum: Smallest allowed subset.
    Raises:
        UserError: `num_images` or `subset_seed` is out of range.
    """

    name: str

    def __init__(
        self,
        folder: Path,
        paths: Sequence[str],
        labels: IntArray,
        *,
        class_names: Sequence[str],
        num_images: int | None,
        subset_seed: int,
        minimum: int,
    ) -> None:
        subset = checked_subset(labels, num_images, seed=subset_seed, minimum=minimum, source=self.name)
        self._folder = folder
        self._paths = np.array(paths)[subset]
        self.class_names: Sequence[str] = list(class_names)
        self.labels: IntArray = labels[subset]
        self.groups: IntArray = np.arange(len(subset), dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in its own size."""
        return decode(self.describe(index))

    def describe(self, index: int) -> str:
        return str(self._folder / str(self._paths[index]))

    def fingerprint(self) -> str:
        contents = ((self._folder / str(path)).read_bytes() for path in self._paths)
        return fingerprint(self.name, self._paths, self.labels, *contents)


def installed_folder(package: str, *, missing: str) -> Path:
    """The folder of `package`, without importing it; raises `UserError(missing)` if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(missing)
    return Path(spec.origin).parent

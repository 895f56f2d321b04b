"""Simulated textiles with and without defects, from the package conformal-clip-data: far from ImageNet, 2,000 images.

250 x 250 grey weaves: 1,000 as they should be, 500 with a local disruption, 500 whose whole weave is off by 5 %.
Images: MIT, Megahed et al. 2025, arXiv:2501.12596, made with spc4sts (Bui and Apley 2020, Journal of Quality
Technology 53(3)).
"""

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

CLASS_NAMES = ("global", "local", "nominal")  # folders of the package
MIN_IMAGES = 6  # chosen: two per class on average; whether they can be split is checked where they are split


class Textile:
    """Simulated textiles in three classes.

    Args:
        num_images: Size of a stratified random subset, 6 to 2,000; None for all.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or conformal-clip-data is not installed.
    """

    name = "textile"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        folder = package_folder() / "data" / "textile_images" / "simulated"
        found = [sorted((folder / name).glob("*.jpg")) for name in CLASS_NAMES]
        labels = np.repeat(np.arange(len(CLASS_NAMES)), [len(paths) for paths in found])
        chosen = checked_subset(labels, num_images, seed=subset_seed, minimum=MIN_IMAGES, source=self.name)
        self._folder = folder
        self._names = np.array([f"{p.parent.name}/{p.name}" for paths in found for p in paths])[chosen]
        self.class_names: Sequence[str] = list(CLASS_NAMES)
        self.labels: IntArray = labels[chosen].astype(np.int64)
        self.groups: IntArray = np.arange(len(chosen), dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return textile `index`, mode RGB, 250 x 250."""
        return decode(self._folder / str(self._names[index]))

    def describe(self, index: int) -> str:
        """Return the path of textile `index`."""
        return str(self._folder / str(self._names[index]))

    def fingerprint(self) -> str:
        """Return a digest of the chosen images' bytes, names and labels."""
        contents = ((self._folder / str(name)).read_bytes() for name in self._names)
        return fingerprint(self.name, self._names, self.labels, *contents)


def package_folder() -> Path:
    """Return where conformal-clip-data is installed, without importing it.

    Raises:
        UserError: it is not installed.
    """
    spec = importlib.util.find_spec("conformal_clip_data")
    if spec is None or spec.origin is None:
        raise UserError("data=textile needs the package conformal-clip-data: run pip install conformal-clip-data")
    return Path(spec.origin).parent

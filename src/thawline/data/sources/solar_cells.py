"""Solar cells under electroluminescence, from the package elpv-dataset: far from ImageNet, offline, 2,624 images.

300 x 300 grey images of functional and defective cells out of 44 modules, each with an expert's defect probability.
Images: CC BY-NC-SA 4.0, Buerhop-Lutz et al. 2018, "A Benchmark for Visual Identification of Defective Solar Cells in
Electroluminescence Imagery", EU PVSEC, doi:10.4229/35thEUPVSEC20182018-5CV.3.15; Deitsch et al. 2019, "Automatic
classification of defective photovoltaic module cells in electroluminescence images", Solar Energy 185, 455-468;
Deitsch et al. 2021, "Segmentation of photovoltaic module cells in uncalibrated electroluminescence images", Machine
Vision and Applications 32(4).
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

CLASS_NAMES = ("functional", "probably_functional", "probably_defective", "defective")
MIN_IMAGES = 8  # chosen: two per class on average; whether they can be split is checked where they are split


class SolarCells:
    """Electroluminescence images of solar cells in four classes, by defect probability 0, 1/3, 2/3, 1.

    Args:
        num_images: Size of a stratified random subset, 8 to 2,624; None for all 2,624.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or elpv-dataset is not installed.
    """

    name = "solar_cells"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        self._folder = package_folder() / "data"
        paths, labels = read_labels(self._folder / "labels.csv")
        chosen = checked_subset(labels, num_images, seed=subset_seed, minimum=MIN_IMAGES, source=self.name)
        self._paths = np.array(paths)[chosen]
        self.class_names: Sequence[str] = list(CLASS_NAMES)
        self.labels: IntArray = labels[chosen]
        self.groups: IntArray = np.arange(len(chosen), dtype=np.int64)
        self.splits: Mapping[Split, IntArray] = {}

    def load(self, index: int) -> Image.Image:
        """Return cell `index`, mode RGB, 300 x 300."""
        return decode(self._folder / str(self._paths[index]))

    def describe(self, index: int) -> str:
        """Return the path of cell `index`."""
        return str(self._folder / str(self._paths[index]))

    def fingerprint(self) -> str:
        """Return a digest of the chosen images' bytes, names and labels."""
        contents = ((self._folder / str(path)).read_bytes() for path in self._paths)
        return fingerprint(self.name, self._paths, self.labels, *contents)


def package_folder() -> Path:
    """Return where elpv-dataset is installed, without importing it.

    Raises:
        UserError: it is not installed.
    """
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise UserError('data=solar_cells needs the package elpv-dataset: run pip install "thawline[demo]"')
    return Path(spec.origin).parent


def read_labels(path: Path) -> tuple[list[str], IntArray]:
    """Read elpv-dataset's table: path, defect probability and module type per line, in columns of blanks.

    Returns:
        Image paths relative to the table's folder, and class indices, (N,), int64, in [0, 4).
    """
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    thirds = [round(float(probability) * 3) for _, probability, _ in rows]  # 0, 1/3, 2/3, 1 -> 0, 1, 2, 3
    return [name for name, _, _ in rows], np.array(thirds, dtype=np.int64)

"""Solar cells under electroluminescence, from the package elpv-dataset: far from ImageNet, offline, 2,624 images.

300 x 300 grey images of functional and defective cells out of 44 modules, each with an expert's defect probability.
Images: CC BY-NC-SA 4.0, Buerhop-Lutz et al. 2018, "A Benchmark for Visual Identification of Defective Solar Cells in
Electroluminescence Imagery", EU PVSEC, doi:10.4229/35thEUPVSEC20182018-5CV.3.15; Deitsch et al. 2019, "Automatic
classification of defective photovoltaic module cells in electroluminescence images", Solar Energy 185, 455-468;
Deitsch et al. 2021, "Segmentation of photovoltaic module cells in uncalibrated electroluminescence images", Machine
Vision and Applications 32(4).
"""

from pathlib import Path

import numpy as np

from thawline.data.sources.packaged_files import PackagedFiles, installed_folder
from thawline.data.sources.source import IntArray

CLASS_NAMES = ("functional", "probably_functional", "probably_defective", "defective")
MIN_IMAGES = 8  # chosen: two per class on average; whether they can be split is checked where they are split
_MISSING = 'data=solar_cells needs the package elpv-dataset: run pip install "thawline[demo]"'


class SolarCells(PackagedFiles):
    """Electroluminescence images of solar cells in four classes, by defect probability 0, 1/3, 2/3, 1; 300 x 300.

    Args:
        num_images: Size of a stratified random subset, 8 to 2,624; None for all 2,624.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or elpv-dataset is not installed.
    """

    name = "solar_cells"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        folder = installed_folder("elpv_dataset", missing=_MISSING) / "data"
        paths, labels = read_labels(folder / "labels.csv")
        super().__init__(
            folder, paths, labels, class_names=CLASS_NAMES, num_images=num_images, subset_seed=subset_seed,
            minimum=MIN_IMAGES,
        )  # fmt: skip


def read_labels(path: Path) -> tuple[list[str], IntArray]:
    """Read elpv-dataset's table: path, defect probability and module type per line, separated by blanks.

    Returns:
        Image paths relative to the table's folder, and class indices, (N,), int64, in [0, 4).
    """
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    thirds = [round(float(probability) * 3) for _, probability, _ in rows]  # 0, 1/3, 2/3, 1 -> 0, 1, 2, 3
    return [name for name, _, _ in rows], np.array(thirds, dtype=np.int64)

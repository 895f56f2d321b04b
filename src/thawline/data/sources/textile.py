"""Simulated textiles with and without defects, from the package conformal-clip-data: far from ImageNet, 2,000 images.

250 x 250 grey weaves: 1,000 without a defect, 500 with a local defect, 500 whose whole weave is off by 5 %.
Images: MIT, Megahed et al. 2025, arXiv:2501.12596, made with spc4sts (Bui and Apley 2020, Journal of Quality
Technology 53(3)).
"""

import numpy as np

from thawline.data.sources.packaged_files import PackagedFiles, installed_folder

CLASS_NAMES = ("global", "local", "nominal")  # folders of the package
MIN_IMAGES = 6  # chosen: two per class on average; whether they can be split is checked where they are split
_MISSING = "data=textile needs the package conformal-clip-data: run pip install conformal-clip-data"


class Textile(PackagedFiles):
    """Simulated textiles in three classes, 250 x 250.

    Args:
        num_images: Size of a stratified random subset, 6 to 2,000; None for all.
        subset_seed: Chooses the subset; 0 or more.
    Raises:
        UserError: a setting is out of range, or conformal-clip-data is not installed.
    """

    name = "textile"

    def __init__(self, *, num_images: int | None = None, subset_seed: int = 0) -> None:
        folder = installed_folder("conformal_clip_data", missing=_MISSING) / "data" / "textile_images" / "simulated"
        files = [sorted((folder / name).glob("*.jpg")) for name in CLASS_NAMES]
        paths = [f"{path.parent.name}/{path.name}" for of_class in files for path in of_class]
        labels = np.repeat(np.arange(len(CLASS_NAMES)), [len(of_class) for of_class in files]).astype(np.int64)
        super().__init__(
            folder, paths, labels, class_names=CLASS_NAMES, num_images=num_images, subset_seed=subset_seed,
            minimum=MIN_IMAGES,
        )  # fmt: skip

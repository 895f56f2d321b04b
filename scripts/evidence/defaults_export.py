"""Pack what scripts/evidence/defaults.py needs on a machine without these packages: images, photographs, weights.

    python scripts/evidence/defaults_export.py .tasks

The images of solar_cells and textile become JPEG files of 168 pixels, so a run elsewhere and a run here read the same;
those of the other tasks are made by the product's sources wherever they are needed. Convolutions' weights are kept in
fp16: bf16 arithmetic, in which they are used, is coarser. Takes a minute; 52 MB.
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import save_file

from default_settings.grid import BACKBONES
from default_settings.product_parts import embedded_weights, photo_files, source_of
from default_settings.task_images import pack

_QUALITY = {"solar_cells": 85, "textile": 80, "animal_silhouettes": None}  # of JPEG; None is PNG


def main(folder: Path) -> None:
    photos = folder / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    for path in photo_files():
        shutil.copy(path, photos)
    for name in BACKBONES:
        state = {key: value.half() if value.ndim == 4 else value for key, value in embedded_weights(name).items()}
        save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
    for images, quality in _QUALITY.items():
        pack(source_of(images, photos), folder / f"{images}.npz", quality=quality)
    for path in sorted(folder.rglob("*")):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="to make, or to add to")
    main(parser.parse_args().folder)

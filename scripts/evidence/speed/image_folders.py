"""Write the solar cells as an image folder, in Thawline's splits: python -m speed.image_folders DIR NUM."""

import json
import sys
from pathlib import Path

from thawline.data.sources.solar_cells import SolarCells
from thawline.data.splits import splits_of
from thawline.settings.data_settings import LoaderSettings


def write(folder: Path, num_images: int) -> dict[str, int]:
    """`folder`/{train,val,test}/CLASS/*.png; returns the number of images per split."""
    source = SolarCells(num_images=num_images)
    splits = splits_of(source, LoaderSettings())
    for split, indices in splits.items():
        for index in indices:
            path = folder / split / source.class_names[source.labels[index]] / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            source.load(int(index)).save(path)
    return {str(split): len(indices) for split, indices in splits.items()}


if __name__ == "__main__":
    print(json.dumps(write(Path(sys.argv[1]), int(sys.argv[2]))))

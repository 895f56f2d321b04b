"""Domain distance of every data source at hand, by backbone and by number of images; writes docs/distance.md.

python scripts/evidence/distances.py            # about 5 minutes on 2 CPU cores
"""

import argparse
import platform
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from thawline.advisor.distance import (
    Distances,
    batchnorm_reference,
    domain_distances,
    photo_reference,
)
from thawline.advisor.moments import (
    NUM_NOISE_IMAGES,
    LayerMoments,
    Moments,
    batchnorm_moments,
    noise_images,
    stage_moments,
)
from thawline.data.photographs import photographs
from thawline.data.sources.animal_silhouettes import AnimalSilhouettes
from thawline.data.sources.digits import Digits
from thawline.data.sources.photo_crops import PhotoCrops
from thawline.data.sources.shifted import Shifted
from thawline.data.sources.solar_cells import SolarCells
from thawline.data.sources.source import IntArray
from thawline.data.sources.textile import Textile
from thawline.data.sources.ultrasound_phantom import UltrasoundPhantom
from thawline.data.transforms import eval_transform
from thawline.machine.compute import choose_compute
from thawline.machine.memory import keep_freed_memory
from thawline.markdown import markdown_table
from thawline.models.backbone import Backbone, build_backbone

DOCS = Path(__file__).resolve().parents[2] / "docs"
BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
NUM_IMAGES = 256
FEWER = (8, 16, 32, 64, 128)
_BATCH = 32
BySource = dict[str, dict[int, Distances]]  # source -> number of images -> distances


def _photos() -> PhotoCrops:
    return PhotoCrops(num_train=NUM_IMAGES, num_val=0, num_test=0)


class Photographs:
    """`photographs()` as a source."""

    def __init__(self) -> None:
        self._photos = photographs()
        self.labels: IntArray = np.zeros(len(self._photos), dtype=np.int64)

    def load(self, index: int) -> Image.Image:
        """Return photograph `index`."""
        return self._photos[index]


class Source(Protocol):
    """What of an image source is needed here."""

    labels: IntArray

    def load(self, index: int) -> Image.Image: ...


SOURCES: dict[str, Callable[[], Source]] = {
    "photographs": Photographs,
    "photo_crops": _photos,
    "photo_crops, low resolution": lambda: Shifted(_photos(), shift="low_resolution"),
    "photo_crops, inverted": lambda: Shifted(_photos(), shift="inverted"),
    "photo_crops, edges": lambda: Shifted(_photos(), shift="edges"),
    "solar_cells": SolarCells,
    "digits": Digits,
    "animal_silhouettes": AnimalSilhouettes,
    "textile": Textile,
    "ultrasound_phantom": lambda: UltrasoundPhantom(num_train=NUM_IMAGES, num_val=0, num_test=0),
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS / "distance.md")
    out: Path = parser.parse_args().out
    keep_freed_memory()
    by_source: dict[str, BySource] = {}
    stand_in: dict[str, BySource] = {}
    for name in BACKBONES:
        by_source[name], stand_in[name] = measured(name)
    out.write_text(page(by_source, stand_in), encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


def measured(name: str) -> tuple[BySource, BySource]:
    """Source -> number of images -> distances, by the backbone's own BatchNorm, and by photographs."""
    backbone = build_backbone(name, weights="embedded").eval()
    dtype = choose_compute(accelerator="cpu", precision="auto").precision.prefix

    def both(images: Tensor) -> tuple[LayerMoments, LayerMoments]:
        batches = torch.split(images, _BATCH)
        return (
            batchnorm_moments(backbone, batches, dtype=dtype),
            stage_moments(backbone, batches, dtype=dtype),
        )

    noise = both(noise_images(NUM_NOISE_IMAGES, backbone.input.size))
    _, photos = both(_images(Photographs(), backbone))
    references = (batchnorm_reference(backbone), photo_reference(backbone, photos))
    by_source: tuple[BySource, BySource] = ({}, {})
    for source, make in SOURCES.items():
        target = both(_images(make(), backbone))
        for side in (0, 1):
            by_source[side][source] = {}
            for count in (*FEWER, NUM_IMAGES):
                part = {key: Moments(all_.mean[:count], all_.square[:count]) for key, all_ in target[side].items()}
                distances = domain_distances(part, noise[side], references[side], num_stages=backbone.num_stages)
                assert distances is not None
                by_source[side][source][count] = distances
        shown = [f"{of_side[source][NUM_IMAGES].overall.value:.3f}" for of_side in by_source]
        print(name, source, *shown, flush=True)
    return by_source


def _images(source: Source, backbone: Backbone) -> Tensor:
    """`NUM_IMAGES` of the source in random order: its first ones may be of one class."""
    indices = np.random.default_rng(0).permutation(len(source.labels))[:NUM_IMAGES]
    transform = eval_transform(backbone.input)
    return torch.stack([transform(source.load(int(index))) for index in indices])


def page(by_source: dict[str, BySource], stand_in: dict[str, BySource]) -> str:
    """The page as Markdown."""
    machine = (
        f"torch {version('torch')}, timm {version('timm')}, Python {platform.python_version()}, "
        f"{date.today().isoformat()}. `python scripts/evidence/distances.py`"
    )
    parts = [_INTRODUCTION, _ranking(by_source), _SIZES, _by_size(by_source), _STAND_IN, _ranking(stand_in), machine]
    return "\n\n".join(["# Domain distance", *parts]) + "\n"


_INTRODUCTION = f"""This page says how far each data source lies from ImageNet, by the measure that the advisor uses.

The measure compares the images with the statistics that a backbone's BatchNorm layers keep of its training images
(`src/thawline/advisor/distance.py`, [how](advice.md#domain-distance)): 0 is the source, 1 is uniform noise. Below 0.25
the advisor calls images similar. Each source gives {NUM_IMAGES} images, `photographs` its 60, at the backbone's size
(224, 240 and 260 pixels). `photo_crops` are made of these photographs: smaller, greyer, blurred and noisy. In
brackets: the range of 95 % of bootstrap resamples of the images."""
_SIZES = """With fewer images (first backbone). The variance between images is estimated without bias, so the reading
hardly depends on the number of images; its spread does. The mean of a resample of few images lies away from that of all
images. This adds to a squared distance, so the brackets lie above the reading where images are few or very near the
source."""


_STAND_IN = """A backbone without BatchNorm keeps no statistics of its source. Then the photographs of the first row
stand in for the source, at the end of every stage instead of at BatchNorm's input. This table is that second reading of
the same images, on backbones that have both."""


def _ranking(by_source: dict[str, BySource]) -> str:
    first = next(iter(by_source.values()))
    order = sorted(SOURCES, key=lambda source: first[source][NUM_IMAGES].overall.value)
    rows = [[source, *(_shown(by_source[name][source][NUM_IMAGES]) for name in by_source)] for source in order]
    return markdown_table(
        ["images", *(name.removeprefix("tf_") for name in by_source)],
        [*rows, ["uniform noise", *("1" for _ in by_source)]],
    )


def _by_size(by_source: dict[str, BySource]) -> str:
    counts = (*FEWER, NUM_IMAGES)
    first = next(iter(by_source.values()))
    rows = [[source, *(_shown(first[source][count]) for count in counts)] for source in SOURCES]
    return markdown_table(["images", *map(str, counts)], rows)


def _shown(distances: Distances) -> str:
    reading = distances.overall
    return f"{reading.value:.2f} ({reading.low:.2f} to {reading.high:.2f})"


if __name__ == "__main__":
    main()

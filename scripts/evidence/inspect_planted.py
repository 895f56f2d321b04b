"""How well an inspection recognises planted faults, on sources that come along; prints the table of docs/inspect.md.

python scripts/evidence/inspect_planted.py
"""

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from thawline.data.sources.photo_crops import PhotoCrops
from thawline.data.sources.solar_cells import SolarCells
from thawline.data.sources.source import ImageSource
from thawline.data.sources.textile import Textile
from thawline.data.sources.ultrasound_phantom import UltrasoundPhantom
from thawline.inspection.inspected import Inspected, inspected
from thawline.inspection.judged_images import ModelChoice
from thawline.markdown import markdown_table

SHARE = 0.05  # of the images that get each kind of fault
NUM_IMAGES = 480
SEEDS = (0, 1, 2)
COPIES: dict[str, Callable[[Image.Image], tuple[Image.Image, dict[str, int]]]] = {
    "exact copies": lambda image: (image, {"quality": 90}),
    "re-encoded copies": lambda image: (image, {"quality": 40}),
    "shrunk copies": lambda image: (image.resize((image.width // 2, image.height // 2)), {"quality": 90}),
    "mirrored copies": lambda image: (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), {"quality": 90}),
    "cropped copies": lambda image: (_cropped(image), {"quality": 90}),
}
CROPPED = 0.9  # of both sides, about the centre
CUT = 0.5  # of the bytes of a truncated file
SOURCES: dict[str, Callable[[], ImageSource]] = {
    "photo_crops": lambda: PhotoCrops(num_train=NUM_IMAGES, num_val=0, num_test=0),
    "textile": lambda: Textile(num_images=NUM_IMAGES),
    "solar_cells": lambda: SolarCells(num_images=NUM_IMAGES),
    "ultrasound": lambda: UltrasoundPhantom(num_train=NUM_IMAGES, num_val=0, num_test=0),
}
INSIDE = 0.9  # of a photograph's crop that lies in another one, which then holds it


def _cropped(image: Image.Image) -> Image.Image:
    left, top = (round(side * (1 - CROPPED) / 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


@dataclass(frozen=True)
class Planted:
    """Paths below the root: images in the folder of another class, damaged files, copy -> (original, kind of copy)."""

    flipped: set[str]
    truncated: set[str]
    copies: dict[str, tuple[str, str]]


def plant(root: Path, source: ImageSource, *, seed: int) -> Planted:
    """Write the images as JPEG into class folders, with faults on disjoint images."""
    rng = np.random.default_rng(seed)
    number = round(SHARE * len(source.labels))
    order = rng.permutation(len(source.labels))
    faulty = {kind: order[n * number : (n + 1) * number] for n, kind in enumerate(("flipped", "truncated", *COPIES))}
    planted = Planted(set(), set(), {})
    for index, label in enumerate(source.labels):
        if index in faulty["flipped"]:
            label = (label + rng.integers(1, len(source.class_names))) % len(source.class_names)
        path = f"{source.class_names[int(label)]}/{index:04}.jpg"
        image = source.load(index)
        _write(root / path, image, quality=90)
        if index in faulty["flipped"]:
            planted.flipped.add(path)
        if index in faulty["truncated"]:
            whole = (root / path).read_bytes()
            (root / path).write_bytes(whole[: round(CUT * len(whole))])
            planted.truncated.add(path)
        for kind, change in COPIES.items():
            if index in faulty[kind]:
                copy = path.replace(".jpg", "_copy.jpg")
                changed, options = change(image)
                _write(root / copy, changed, **options)
                planted.copies[copy] = path, kind
    return planted


def _write(path: Path, image: Image.Image, *, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    path.write_bytes(content.getvalue())


def holds(source: ImageSource, copy: str, original: str) -> bool:
    """Whether an image of the source shows a part of another one already, as crops of one photograph may."""
    if not isinstance(source, PhotoCrops):
        return False
    first, second = (int(Path(path).stem.removesuffix("_copy")) for path in (copy, original))
    if source.labels[first] != source.labels[second]:
        return False
    a, b = source.box(first), source.box(second)
    shared = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    return shared[0] * shared[1] >= INSIDE * (a[2] - a[0]) * (a[3] - a[1])


def scores(one: Inspected, planted: Planted, source: ImageSource) -> dict[str, float]:
    """Precision and recall of labels, damaged files and copies, with the recall of each kind; the probe's accuracy."""
    labels, damaged = (
        {one.listing.shown(issue.image) for issue in one.issues if issue.kind == kind and issue.image is not None}
        for kind in ("label", "unreadable")
    )
    pairs = {
        (one.listing.shown(issue.image), one.listing.shown(issue.other))
        for issue in one.issues
        if issue.kind == "copy" and issue.image is not None and issue.other is not None
    }
    real = {(copy, original) for copy, (original, _) in planted.copies.items()}
    right = {pair for pair in pairs if pair in real or holds(source, *pair)}
    told = {copy for copy, _ in right}
    recall = {
        kind: float(np.mean([copy in told for copy, (_, of) in planted.copies.items() if of == kind]))
        for kind in COPIES
    }
    return {
        "probe right": one.probe.accuracy if one.probe else 0.0,
        "labels: precision": len(labels & planted.flipped) / max(len(labels), 1),
        "labels: recall": len(labels & planted.flipped) / len(planted.flipped),
        "truncated files: precision": len(damaged & planted.truncated) / max(len(damaged), 1),
        "truncated files: recall": len(damaged & planted.truncated) / len(planted.truncated),
        "copies: precision": len(right) / max(len(pairs), 1),
        **{f"{kind}: recall": value for kind, value in recall.items()},
    }


def measured(name: str, seeds: Sequence[int]) -> list[dict[str, float]]:
    """`scores` of every seed."""
    source, rows = SOURCES[name](), []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root, cache = Path(folder) / "images", Path(folder) / "cache"
            planted = plant(root, source, seed=seed)
            rows.append(scores(inspected(root, model=ModelChoice(cache_dir=str(cache))), planted, source))
            print(name, seed, {key: round(value, 3) for key, value in rows[-1].items()}, flush=True)
    return rows


def table(by_source: dict[str, list[dict[str, float]]]) -> str:
    """Means over the seeds, with the range."""
    keys = list(next(iter(by_source.values()))[0])
    return markdown_table(
        ["", *by_source],
        [[key, *(_mean_and_range([row[key] for row in rows]) for rows in by_source.values())] for key in keys],
    )


def _mean_and_range(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--sources", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    given = parser.parse_args()
    print(table({name: measured(name, given.seeds) for name in given.sources}))


if __name__ == "__main__":
    main()

"""The tasks: a data source each, and how many of its images train, validate and test."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thawline.data.sources.animal_silhouettes import AnimalSilhouettes
from thawline.data.sources.digits import Digits
from thawline.data.sources.photo_crops import PhotoCrops
from thawline.data.sources.shifted import Shifted
from thawline.data.sources.solar_cells import SolarCells
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.sources.subset import stratified_subset
from thawline.data.sources.textile import Textile
from thawline.data.sources.ultrasound_phantom import UltrasoundPhantom

_MAX_TEST = 1200  # images; chosen: an accuracy near 0.8 is then known to 1.2 points, and testing stays a small share
_VAL_SHARE = 0.25  # of the training images; chosen: 0.15 / 0.7, rounded up


@dataclass(frozen=True)
class Task:
    """`num_train` images of a source to train on, a quarter as many to validate, up to 1,200 others to test."""

    name: str
    source: Callable[[], ImageSource]
    num_train: int

    def splits(self, source: ImageSource, *, seed: int) -> dict[Split, IntArray]:
        """Stratified random splits, other images for another seed; within the source's own splits where it has some."""
        num_val = max(len(source.class_names), round(_VAL_SHARE * self.num_train))
        pools = dict(source.splits)
        if not pools:
            everything = np.arange(len(source.labels))
            train = _sample(everything, self.num_train, source.labels, [seed, 0])
            rest = np.setdiff1d(everything, train)
            val = _sample(rest, num_val, source.labels, [seed, 1])
            return {"train": train, "val": val, "test": _up_to(np.setdiff1d(rest, val), source.labels, [seed, 2])}
        return {
            "train": _sample(pools["train"], self.num_train, source.labels, [seed, 0]),
            "val": _sample(pools["val"], num_val, source.labels, [seed, 1]),
            "test": _up_to(pools["test"], source.labels, [seed, 2]),
        }


def _sample(pool: IntArray, num_images: int, labels: IntArray, seed: list[int]) -> IntArray:
    drawn = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return pool[stratified_subset(labels[pool], min(num_images, len(pool)), seed=drawn)]


def _up_to(pool: IntArray, labels: IntArray, seed: list[int]) -> IntArray:
    return pool if len(pool) <= _MAX_TEST else _sample(pool, _MAX_TEST, labels, seed)


def _photo_crops() -> PhotoCrops:
    return PhotoCrops(num_train=1200, num_val=300, num_test=_MAX_TEST)


def _shifted(shift: str) -> Callable[[], ImageSource]:
    return lambda: Shifted(_photo_crops(), shift=shift)


TASKS = {
    task.name: task
    for task in (
        Task("solar_cells_200", SolarCells, 200),
        Task("solar_cells_800", SolarCells, 800),
        Task("digits_100", Digits, 100),
        Task("digits_800", Digits, 800),
        Task("textile", Textile, 560),
        Task("photo_crops", _photo_crops, 560),
        Task("photo_crops_inverted", _shifted("inverted"), 560),
        Task("photo_crops_edges", _shifted("edges"), 560),
        Task("photo_crops_low_resolution", _shifted("low_resolution"), 560),
        Task("ultrasound_phantom", lambda: UltrasoundPhantom(num_train=1200, num_val=300, num_test=_MAX_TEST), 560),
        Task("animal_silhouettes", AnimalSilhouettes, 1000),
    )
}
BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")

"""What is measured: every fit of the comparison, the most telling first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

TASKS = (  # scripts/judge/tasks.py; the slow ones first, so that none is left alone at the end
    "animal_silhouettes",
    "solar_cells_800",
    "digits_800",
    "textile",
    "photo_crops",
    "photo_crops_inverted",
    "photo_crops_edges",
    "photo_crops_low_resolution",
    "ultrasound_phantom",
    "solar_cells_200",
    "digits_100",
)
BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1")
SEEDS = (0, 1, 2)

Depth = Literal[0, 3, "all"]
STRATEGIES: dict[Depth, str] = {0: "feature_extraction", 3: "partial_fine_tune", "all": "full_fine_tune"}
# Stored views of each training image, cycled over the epochs. "none" is the plain image; "fresh" has a view for every
# epoch. A view is a function of (seed, number, image), so views 0 to 3 are the same pictures for all three.
Views = Literal["none", "4", "8", "fresh"]
FROZEN_VIEWS: tuple[Views, ...] = ("none", "fresh", "4", "8")
ALL_VIEWS: tuple[Views, ...] = ("none", "fresh")  # nothing is frozen, so there is nothing to store


@dataclass(frozen=True)
class Fit:
    """One training run."""

    task: str
    backbone: str
    seed: int
    depth: Depth
    views: Views


@dataclass(frozen=True)
class Job:
    """Fits that share their images and what the frozen stages make of them."""

    fits: tuple[Fit, ...]

    @property
    def task(self) -> str:
        return self.fits[0].task

    @property
    def backbone(self) -> str:
        return self.fits[0].backbone

    @property
    def seed(self) -> int:
        return self.fits[0].seed


def jobs(
    tasks: Sequence[str], backbones: Sequence[str], seeds: Sequence[int], depths: Sequence[Depth], *, done: set[Fit]
) -> list[Job]:
    """Those with something left to do: the first seed before the others, whole backbones a seed behind suffixes."""
    turns = sorted((rank + whole, whole, seed) for rank, seed in enumerate(seeds) for whole in (False, True))
    jobs_left = []
    for _, whole, seed in turns:
        for backbone in backbones:
            for task in tasks:
                fits = _fits(task, backbone, seed, whole=whole)
                left = tuple(fit for fit in fits if fit.depth in depths and fit not in done)
                jobs_left += [Job(left)] if left else []
    return jobs_left


def _fits(task: str, backbone: str, seed: int, *, whole: bool) -> Iterator[Fit]:
    depths: tuple[Depth, ...] = ("all",) if whole else (0, 3)
    for depth in depths:
        for views in ALL_VIEWS if whole else FROZEN_VIEWS:
            yield Fit(task, backbone, seed, depth, views)

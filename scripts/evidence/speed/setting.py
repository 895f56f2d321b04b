"""What every case is told: sizes, repeats, where to work, and on which device."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

PLAIN_WORKERS = 2  # chosen: one per core of the machine that the goals were set for


@dataclass(frozen=True)
class Sizes:
    """How much is measured; epochs are per fit."""

    num_images: int = 800
    image_size: int = 224
    feature_epochs: int = 20
    partial_epochs: int = 10
    sweep_epochs: int = 6
    depths: tuple[int | str, ...] = (*range(9), "all")
    full_epochs: int = 3
    compiled_epochs: int = 6
    extraction_images: int = 5000
    step_batch: int = 32
    steps: int = 5


FULL = Sizes()
# Enough to go through every line, in minutes; the numbers mean nothing.
QUICK = Sizes(80, 64, 3, 2, 2, (0, 2, "all"), 2, 2, 128, 8, 1)


@dataclass(frozen=True)
class Setting:
    """One call of the benchmark.

    Attributes:
        folder: Temporary; below it every run gets a folder of its own.
        images: The image folder that both sides read; train/, val/ and test/ hold class folders.
        cuda: Whether both sides compute on a GPU.
        plain_epochs: Most epochs that the baseline really runs; None for all of them.
        plain_workers: Processes that load the baseline's images.
    """

    folder: Path
    images: Path
    sizes: Sizes
    repeats: int
    cuda: bool
    plain_epochs: int | None = None
    plain_workers: int = PLAIN_WORKERS
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count, repr=False, compare=False)

    def fresh(self) -> Path:
        """A new, empty folder."""
        path = self.folder / f"{next(self._numbers):04d}"
        path.mkdir()
        return path

    def goal(self, gain: float) -> float | None:
        """The goals for speed were set for two CPU cores; on a GPU a gain is shown without one."""
        return None if self.cuda else gain

"""Compare an exported model with the one that Thawline loads: labels, probabilities, speed."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thawline.deploy.export_onnx import Runner
from thawline.progress_bar import counted

LARGEST_DIFFERENCE = 1e-3  # allowed, of a probability in fp32; rounding gives 1e-5 at most
# The same of two runtimes that both resize. Measured: a level that rounds otherwise in one of them moved a probability
# by 0.0008 at most, in 420 photographs of seven shapes (EfficientNet-Lite0 at 96 pixels, a stack).
RESIZED_DIFFERENCE = 5e-3
BATCHES = (1, 2, 7)  # sizes that are tried: the batch is dynamic
_BATCH = 32  # images that are computed together over all images
SHOWN_ABOVE = 100  # images; fewer are read, or answered, within about two seconds
_TRIES, SECONDS = 40, 4.0  # of a measurement of latency: it ends with what comes first


@dataclass(frozen=True)
class Agreement:
    """Answers of an exported model beside Thawline's.

    Attributes:
        images: How many were compared.
        labels_differ: Of how many the likeliest class is another.
        largest: Largest difference of a probability.
    """

    images: int
    labels_differ: int
    largest: float

    @property
    def good(self) -> bool:
        return self.labels_differ == 0 and self.largest < LARGEST_DIFFERENCE

    @property
    def good_resized(self) -> bool:
        """Of two runtimes that both resize; labels may differ where two classes are as good as equally likely."""
        return self.largest < RESIZED_DIFFERENCE

    def __str__(self) -> str:
        labels = f"{self.labels_differ} of {self.images} labels differ" if self.labels_differ else "labels equal"
        return f"{labels}, largest difference of a probability {self.largest:.1e}"


def agreement(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> Agreement:
    """Of probabilities (N, K)."""
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    differ = int((got.argmax(1) != wanted.argmax(1)).sum())
    largest = float(np.abs(got - wanted).max())
    return Agreement(len(got), differ, largest if np.isfinite(largest) else 1.0)


def together(parts: Sequence[Agreement]) -> Agreement:
    """Of all the images of `parts`."""
    images, differ = (sum(getattr(part, name) for part in parts) for name in ("images", "labels_differ"))
    return Agreement(images, differ, max(part.largest for part in parts))


def answered(run: Runner, images: NDArray[np.uint8], *, batch: int = _BATCH) -> NDArray[np.float32]:
    """Probabilities (N, K) of images (N, S, S, 3)."""
    starts = range(0, len(images), batch)
    shown = counted(starts, len(starts), f"batches of {batch} images", above=SHOWN_ABOVE // batch)
    return np.concatenate([run(images[start : start + batch]) for start in shown])


def accuracy(probabilities: NDArray[np.float32], labels: Sequence[int]) -> float:
    return float((probabilities.argmax(1) == np.asarray(labels)).mean())


def latencies(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Median milliseconds of each, measured in turns, so that what else runs on the machine slows all of them."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    end = time.perf_counter() + SECONDS
    for _ in range(_TRIES):
        for run, spent in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            spent.append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() > end:
            break
    return [statistics.median(spent) for spent in times]


def machine_load() -> str:
    """How busy the machine is, for people."""
    cores = os.cpu_count() or 1
    if not hasattr(os, "getloadavg"):
        return f"{cores} cores"
    return f"load {os.getloadavg()[0]:.1f} on {cores} cores"

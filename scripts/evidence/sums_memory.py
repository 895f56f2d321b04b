"""What strategy=stacked_probe takes of memory while it runs over many generated images, every 20,000 of them.

python scripts/evidence/sums_memory.py --images 120000

The images are noise of 32 x 32 pixels and the network is tiny, with random weights: the numbers say what a number of
images costs, not how long a pass takes, nor how good it is.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import thawline
from thawline.data.sources.source import IntArray, Split

_SIDE = 32  # pixels
_CLASSES = 10
_EVERY = 20_000  # images between two lines
_SHARE = 0.05  # of all images that are for validation, and that are for the test


class Generated:
    """Noise about a colour of the class; says how much memory the process holds as it is read."""

    name = "generated"

    def __init__(self, *, num_images: int, subset_seed: int = 0) -> None:
        self.class_names = [str(number) for number in range(_CLASSES)]
        self.labels: IntArray = np.arange(num_images, dtype=np.int64) % _CLASSES
        self.groups: IntArray = np.arange(num_images, dtype=np.int64)
        self.splits: dict[Split, IntArray] = {}
        self._colours = np.random.default_rng(subset_seed).integers(64, 192, (_CLASSES, 3))
        self._read, self._start = 0, time.perf_counter()

    def load(self, index: int) -> Image.Image:
        if self._read % _EVERY == 0:
            seconds = time.perf_counter() - self._start
            print(f"{self._read:9,} images read  {_held_mb():6.0f} MB held  {seconds:6.0f} s", flush=True)
        self._read += 1
        noise = np.random.default_rng(index).integers(-64, 64, (_SIDE, _SIDE, 3))
        return Image.fromarray((self._colours[self.labels[index]] + noise).astype(np.uint8))

    def describe(self, index: int) -> str:
        return f"generated {index}"

    def fingerprint(self) -> str:
        return f"generated-{len(self.labels)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=120_000)
    number = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        thawline.train([
            "strategy=stacked_probe", "data=digits", "data.source._target_=sums_memory.Generated",
            f"data.source.num_images={round(number / (1 - _SHARE))}", f"data.val_fraction={_SHARE}",
            f"data.test_fraction={_SHARE}", "data.batch_size=64", "data.num_workers=0", "model.name=test_resnet",
            "model.weights=none", f"model.image_size={_SIDE}", "trainer.accelerator=cpu", "logger=csv",
            f"output_dir={folder}/out", f"cache.dir={folder}/cache",
        ])  # fmt: skip
    print(f"{number:9,} images for training and validation; at most {_most_mb():.0f} MB held")


def _held_mb() -> float:
    """Memory of this process now; its largest so far where the system does not say."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return _most_mb()
    return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6


def _most_mb() -> float:
    """Largest memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()

"""How long the first and the second start take with many small JPEGs, and how much memory: the table of docs/images.md.

    python scripts/evidence/scan.py                    # 20,000 images of 64 x 64 pixels
    python scripts/evidence/scan.py --images 200000

Every start is a process of its own, which imports Thawline before the clock runs. Peak memory is what the start adds to
that, and the sum, most of which is torch. What a start does: list the folder, read or look up every image, split, and
compare images for near copies.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

_SIDE = 64  # pixels
_CLASSES = 100
_SETTLED_S = 2.5  # a file of the last two seconds is read again at the next start


def main() -> None:
    """Make the images, start twice, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="up to 200,000")
    parser.add_argument("--start", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.start:
        print(json.dumps(_start(*arguments.start)))
        return
    folder = Path(tempfile.mkdtemp(prefix="thawline_scan_"))
    try:
        make_images(folder / "images", arguments.images)
        time.sleep(_SETTLED_S)
        first, second = (_measured(folder) for _ in range(2))
    finally:
        shutil.rmtree(folder)
    print("| images | start | seconds | images/s | CPU seconds | memory on top, MB | in all, MB |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for name, row in (("first", first), ("second", second)):
        number = arguments.images
        speed = f"{number / row['seconds']:,.0f}"
        memory = f"{row['mb']:,.0f} | {row['peak_mb']:,.0f}"
        print(f"| {number:,} | {name} | {row['seconds']:.1f} | {speed} | {row['cpu_s']:.1f} | {memory} |")
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")


def make_images(folder: Path, number: int) -> None:
    """Smooth noise, different in every image, in class folders: a few kB each, as small photographs have."""
    rng = np.random.default_rng(0)
    for image in range(number):
        place = folder / f"class_{image % _CLASSES:03}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(place / f"{image:06}.jpg", quality=85)


def _measured(folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--start", str(folder / "images"), str(folder / "cache")]
    row: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return row


def _start(images: Path, cache: Path) -> dict[str, float]:
    from thawline.data.sources.folder import FolderSource
    from thawline.data.splits import splits_of
    from thawline.runs.announce import near_copies_note
    from thawline.settings.data_settings import LoaderSettings

    before, start, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    source = FolderSource(root=images, scan_dir=cache)
    thumbs = source.thumbs
    assert thumbs is not None
    near_copies_note(thumbs, source, splits_of(source, LoaderSettings()))
    source.fingerprint()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu_s": cpu, "mb": _peak_mb() - before, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # Linux counts in kB


if __name__ == "__main__":
    main()

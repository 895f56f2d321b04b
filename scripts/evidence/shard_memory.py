"""What a source of shards takes: memory and time for a number of small generated images.

python scripts/evidence/shard_memory.py --images 200000
"""

import argparse
import io
import resource
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from thawline.data.sources.shards import ShardSource

_PER_SHARD = 10_000
_SIDE = 8  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    number = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, number, _PER_SHARD):
            _write(Path(folder), first, min(_PER_SHARD, number - first))
        _open_one(folder, "warm-up", shards=f"{folder}/00000000.tar", index_dir=None, verify=False)
        for name, verify in (("index made", False), ("index read", False), ("all decoded", True), ("read again", True)):
            _open_one(folder, name, shards=f"{folder}/*.tar", index_dir=f"{folder}/cache", verify=verify)


def _write(folder: Path, first: int, count: int) -> None:
    rng = np.random.default_rng(first)
    pixels = rng.integers(0, 256, (count, _SIDE, _SIDE, 3), dtype=np.uint8)
    with tarfile.open(folder / f"{first:08}.tar", "w") as tar:
        for number in range(count):
            file = io.BytesIO()
            Image.fromarray(pixels[number]).save(file, "PNG", compress_level=0)
            key = f"{first + number:08}"
            for name, content in ((f"{key}.png", file.getvalue()), (f"{key}.cls", b"%d" % (number % 10))):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        tar.members.clear()  # type: ignore[attr-defined]


def _open_one(folder: str, name: str, *, shards: str, index_dir: str | None, verify: bool) -> None:
    start, before = time.perf_counter(), _peak_mb()
    source = ShardSource(shards=shards, index_dir=index_dir, verify=verify)
    seconds = time.perf_counter() - start
    print(f"{name:12} {len(source.labels):9,} images {seconds:7.1f} s  peak {before:5.0f} -> {_peak_mb():5.0f} MB")


def _peak_mb() -> float:
    """Largest memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()

"""Reads the image files of a folder: which are readable, and which are copies of one another."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.decode import AS_THEY_ARE, Pixels, UnreadableImage, read_bytes, read_samples, turned
from thawline.data.sources.fingerprint import DIGEST_BYTES
from thawline.data.sources.source import IntArray
from thawline.data.value_range import WideImage, range_of, to_8_bit
from thawline.machine.heartbeat import beat
from thawline.printable import printable

_MAX_THREADS = 8  # chosen: decoding is bound by the processor, reading from a network drive is not
THUMB = 16  # pixels; chosen: shows the composition of an image and hides noise and the marks of compression
_REDUCING_GAP = 2.0  # Pillow's: how far a large image is reduced by a quick method first
_PROGRESS_ABOVE = 500  # images; chosen: fewer are read within seconds


@dataclass(frozen=True)
class Content:
    """What reading every file of a folder shows.

    Attributes:
        digests: BLAKE2b digest of each file as hexadecimal digits, (N,), bytes; empty if the file does not decode.
        sizes: Width and height in pixels, (N, 2), int64.
        is_wide: Whether the samples are wider than 8 bits, (N,), bool.
        thumbs: Each image squeezed to `THUMB` pixels a side, (N, THUMB, THUMB, 3), uint8.
    """

    digests: NDArray[np.bytes_]
    sizes: IntArray
    is_wide: NDArray[np.bool_]
    thumbs: NDArray[np.uint8]

    def take(self, images: IntArray) -> "Content":
        """That of these images only."""
        return Content(self.digests[images], self.sizes[images], self.is_wide[images], self.thumbs[images])


def read_all(root: Path, paths: NDArray[np.str_], *, pixels: Pixels = AS_THEY_ARE) -> tuple[Content, dict[str, str]]:
    """Read, hash and decode every image.

    Args:
        paths: Relative to `root`, (N,).
    Returns:
        What was read, and the error messages of the files that do not decode, by path, in the order of `paths`.
    """
    names = [str(path) for path in paths]
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool, _progress(len(names)) as advance:
        results = []
        for result in pool.map(lambda name: _read(root / name, pixels), names):
            results.append(result)
            advance()
            beat()
    reasons = {name: str(r) for name, r in zip(names, results, strict=True) if isinstance(r, UnreadableImage)}
    files = [_NOTHING if isinstance(result, UnreadableImage) else result for result in results]
    content = Content(
        np.array([file.digest for file in files], dtype=f"S{2 * DIGEST_BYTES}"),
        np.array([file.size for file in files], dtype=np.int64).reshape(-1, 2),
        np.array([file.is_wide for file in files], dtype=np.bool_),
        np.array([file.thumb for file in files], dtype=np.uint8).reshape(-1, THUMB, THUMB, 3),
    )
    return content, reasons


@dataclass(frozen=True)
class _File:
    digest: bytes
    size: tuple[int, int]
    is_wide: bool
    thumb: NDArray[np.uint8]


_NOTHING = _File(b"", (0, 0), False, np.zeros((THUMB, THUMB, 3), dtype=np.uint8))


def _read(path: Path, pixels: Pixels) -> "_File | UnreadableImage":
    try:
        data = read_bytes(path)
        samples, orientation = read_samples(data, name=printable(path), pixels=pixels)
    except UnreadableImage as error:
        return error
    is_wide = isinstance(samples, WideImage)
    image = to_8_bit(samples, range_of([samples])) if isinstance(samples, WideImage) else samples
    upright = turned(image, orientation)
    thumb = np.asarray(upright.resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=_REDUCING_GAP))
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest().encode()
    return _File(digest, upright.size, is_wide, thumb)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    if total <= _PROGRESS_ABOVE or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading images", total=total)
        yield lambda: progress.advance(task)


def group(digests: NDArray[np.bytes_]) -> IntArray:
    """A number for each digest, the same for equal ones: (N,) -> (N,), int64."""
    return np.unique(digests, return_inverse=True)[1].astype(np.int64)


def contradiction(labels: IntArray, groups: IntArray) -> tuple[int, int] | None:
    """Two images of one group with different labels, from (N,), int64, each; None if there are none."""
    order = np.lexsort((labels, groups))
    same_group = groups[order][1:] == groups[order][:-1]
    differs = same_group & (labels[order][1:] != labels[order][:-1])  # (N - 1,)
    if not differs.any():
        return None
    place = int(differs.argmax())
    return int(order[place]), int(order[place + 1])

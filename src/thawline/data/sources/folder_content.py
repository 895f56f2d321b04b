"""Reads the image files of a folder: which are readable, and which are copies of one another."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.data.decode import UnreadableImage, decode_bytes, read_bytes
from thawline.data.sources.fingerprint import DIGEST_BYTES
from thawline.data.sources.source import IntArray
from thawline.printable import printable

_MAX_THREADS = 8  # chosen: decoding is bound by the processor, reading from a network drive is not
_PROGRESS_ABOVE = 500  # images; chosen: fewer are read within seconds


def read_all(root: Path, paths: NDArray[np.str_]) -> tuple[NDArray[np.bytes_], dict[str, str]]:
    """Read, hash and decode every image.

    Args:
        paths: Relative to `root`, (N,).
    Returns:
        BLAKE2b digest of each file as hexadecimal digits, (N,), bytes, empty if the file does not decode; and the error
        messages of the files that do not, by path, in the order of `paths`.
    """
    names = [str(path) for path in paths]
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool, _progress(len(names)) as advance:
        results = []
        for result in pool.map(lambda name: _read(root / name), names):
            results.append(result)
            advance()
    reasons = {name: str(result) for name, result in zip(names, results, strict=True) if not isinstance(result, bytes)}
    digests = [result if isinstance(result, bytes) else b"" for result in results]
    return np.array(digests, dtype=f"S{2 * DIGEST_BYTES}"), reasons


def _read(path: Path) -> bytes | UnreadableImage:
    try:
        data = read_bytes(path)
        decode_bytes(data, name=printable(path))
    except UnreadableImage as error:
        return error
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest().encode()


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

"""Decoded images in a temporary file, for which memory has no room; the processes that load images share it."""

import mmap
import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.data.margins import NO_MARGINS, Margins

ImageKey = tuple[str, int]  # (kind, index in the source)
_KINDS = ("decoded", "transformed")
_OFFSET, _SHAPE, _MARGINS = 0, slice(1, 4), slice(4, 8)  # columns of the index; images have three dimensions
_COLUMNS = 8
_SHARE_OF_DISK = 0.5  # of what is free; chosen: the other half stays for checkpoints and stores


class KeptFile:
    """uint8 arrays of three dimensions by key, up to `budget` bytes on disk.

    The file has no name, or loses it when it is opened: nothing is left of a run that is killed, and nothing is ever
    taken for complete. Its space is free again when the last process that has it open ends. A process that is forked
    reads what the others wrote, and one of them writes an image; other kinds of processes get no such file.
    An image counts as there once all of its bytes are.

    Args:
        folder: Made if it is missing.
        num_images: Indices are below it.
    Raises:
        OSError: No file can be made there.
    """

    def __init__(self, folder: Path, *, num_images: int, budget: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.budget = min(budget, _SHARE_OF_DISK * shutil.disk_usage(folder).free)
        self._num_images = num_images
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - open as long as this object
        pages = mmap.mmap(-1, 8 * (1 + len(_KINDS) * num_images * _COLUMNS))  # zeros; shared with forked processes
        numbers = np.frombuffer(pages, dtype=np.int64)
        self._used, self._index = numbers[:1], numbers[1:].reshape(-1, _COLUMNS)
        self._lock = multiprocessing.Lock()

    @property
    def num_bytes(self) -> int:
        return int(self._used[0])

    @property
    def num_images(self) -> int:
        return int(np.count_nonzero(self._index[:, _OFFSET]))

    def get(self, key: ImageKey) -> NDArray[np.uint8] | None:
        """A copy of the array; None if there is none, or it cannot be read."""
        row = self._index[self._row(key)]
        if not row[_OFFSET]:
            return None
        shape = tuple(int(length) for length in row[_SHAPE])
        array = np.empty(shape, dtype=np.uint8)
        try:
            whole = os.preadv(self._file.fileno(), [array.data], int(row[_OFFSET]) - 1) == array.nbytes
        except OSError:
            return None
        return array if whole else None

    def margins(self, key: ImageKey) -> Margins:
        """Of an image that is there."""
        left, top, right, bottom = self._index[self._row(key), _MARGINS].tolist()
        return left, top, right, bottom

    def put(self, key: ImageKey, array: NDArray[np.uint8], *, margins: Margins = NO_MARGINS) -> bool:
        """Whether the array is there now: there was room for it, or another process had put it there."""
        row = self._index[self._row(key)]
        with self._lock:
            if row[_OFFSET]:
                return True
            offset = self.num_bytes
            if offset + array.nbytes > self.budget:
                return False
            self._used[0] += array.nbytes
        try:
            if os.pwrite(self._file.fileno(), np.ascontiguousarray(array).data, offset) != array.nbytes:
                return False
        except OSError:  # the disk is full
            return False
        row[_SHAPE], row[_MARGINS] = array.shape, margins
        row[_OFFSET] = offset + 1  # last: now it counts; 0 stands for none
        return True

    def _row(self, key: ImageKey) -> int:
        kind, index = key
        return _KINDS.index(kind) * self._num_images + index


def kept_file(folder: Path, *, num_images: int, budget: float) -> KeptFile | None:
    """None where there can be none: the folder is read-only, or the system has no such calls (Windows)."""
    if not hasattr(os, "preadv"):
        return None
    try:
        return KeptFile(folder, num_images=num_images, budget=budget)
    except OSError:
        return None

"""Reads image files once: their digests, sizes and thumbs, into arrays that are there already."""

import hashlib
import os
import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from thawline.data.decode import ON_ITS_SIDE, Pixels, UnreadableImage, read_samples, refuse_no_file, turned, unread
from thawline.data.sources.content import THUMB, THUMB_GAP, Content, thumb_of
from thawline.data.sources.fingerprint import DIGEST_BYTES
from thawline.data.sources.source import IntArray
from thawline.data.value_range import WideImage, range_of, to_8_bit
from thawline.printable import printable

NO_STATE = -1  # as a state: of a file that is not there, or may change without a new time
_RECENT_S = 2.0  # FAT and exFAT note times in steps of two seconds: a second change within them would not be seen
STATE = 3  # numbers: size in bytes, time of the last change of the content, and of the entry, both in ns


@dataclass
class FileProblems:
    """What is wrong with files that were read.

    Attributes:
        reasons: Row -> why the file does not decode.
        changed: Rows of files that were changed while they were read.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    changed: list[int] = field(default_factory=list)


def states_of(root: str, paths: NDArray[np.str_]) -> IntArray:
    """Size and times of each file, (N, 3), int64; -1 for those that are not there."""
    states = np.full((len(paths), STATE), NO_STATE, dtype=np.int64)
    for row, path in enumerate(paths):
        try:
            states[row] = _state(os.stat(os.path.join(root, path)))
        except OSError:
            continue
    return states


def read_rows(
    root: str, paths: NDArray[np.str_], rows: IntArray, *, pixels: Pixels, content: Content, states: IntArray
) -> FileProblems:
    """Read these rows' files into `content`, and their states as of reading into `states`; see `states_of`."""
    problems = FileProblems()
    for row in rows:
        path = os.path.join(root, paths[row])
        try:
            data, before, after = _read_bytes(path)
            _fill(content, row, data, path, pixels)
        except UnreadableImage as error:
            states[row] = NO_STATE
            problems.reasons[int(row)] = str(error)
            continue
        if before != after or before[0] != len(data):
            problems.changed.append(int(row))
        lasting = before == after and abs(time.time_ns() - before[1]) > _RECENT_S * 1e9
        states[row] = before if lasting else NO_STATE
    return problems


def _read_bytes(path: str) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
    """The content, and the file's state before and after reading it."""
    try:
        refuse_no_file(path)
        with open(path, "rb", buffering=0) as file:
            before = _state(os.fstat(file.fileno()))
            return file.read(), before, _state(os.fstat(file.fileno()))
    except OSError as error:
        raise unread(path, error) from error


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, _in_int64(status.st_mtime_ns), _in_int64(status.st_ctime_ns)


def _in_int64(time_ns: int) -> int:
    """A time after the year 2262, which some disks hold, is no int64; only whether it changed is looked at."""
    return (time_ns + 2**63) % 2**64 - 2**63


def _fill(content: Content, row: int, data: bytes, path: str, pixels: Pixels) -> None:
    samples = read_samples(data, name=printable(path), pixels=replace(pixels, shorter=THUMB_GAP * THUMB))
    image = samples.image
    content.is_wide[row] = isinstance(image, WideImage)
    narrow = to_8_bit(image, range_of([image])) if isinstance(image, WideImage) else image
    content.thumbs[row] = np.asarray(turned(thumb_of(narrow), samples.orientation))
    width, height = samples.size
    content.sizes[row] = (height, width) if samples.orientation in ON_ITS_SIDE else (width, height)
    content.digests[row] = hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest().encode()

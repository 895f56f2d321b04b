"""Reads the image files of a folder, or looks up what an earlier run read; and which are copies of one another."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.decode import AS_THEY_ARE, Pixels
from thawline.data.sources.content import Content
from thawline.data.sources.read_files import NO_STATE, STATE, FileProblems, read_rows, states_of
from thawline.data.sources.scan_store import Rows, ScanStore, keys_of
from thawline.data.sources.source import IntArray
from thawline.machine.heartbeat import beat
from thawline.machine.processes import num_cores
from thawline.printable import printable
from thawline.progress_bar import progress

_SHOWN_ABOVE = 500  # images, by a bar; chosen: fewer are read within seconds
_FILES_AT_ONCE = 64  # of one thread; chosen: few tasks, and progress that is seen

_log = logging.getLogger(__name__)


def read_all(
    root: Path, paths: NDArray[np.str_], *, pixels: Pixels = AS_THEY_ARE, store: ScanStore | None = None
) -> tuple[Content, dict[str, str]]:
    """Read, hash and decode every image, or look it up in the store if size and times are still those of then.

    Args:
        paths: Relative to `root`, (N,).
        store: Of this folder; None reads every image.
    Returns:
        What was read, and the error messages of the files that do not decode, by path, in the order of `paths`.
    """
    if store is None:
        rows, problems = _nothing(keys_of(paths[:0]), len(paths)), FileProblems()
        _read_files(root, paths, np.arange(len(paths)), rows=rows, pixels=pixels, problems=problems)
    else:
        rows, problems = _looked_up_or_read(root, paths, pixels, store)
    if problems.changed:
        first = printable(paths[min(problems.changed)])
        _log.warning(
            "%s changed during the reading, first: %s; wait until all are there, and start again",
            *(plural(len(problems.changed), "image"), first),
        )
    return rows.content, {str(paths[row]): problems.reasons[row] for row in sorted(problems.reasons)}


def _nothing(keys: NDArray[np.uint64], num_images: int) -> Rows:
    return Rows(keys, np.full((num_images, STATE), NO_STATE, dtype=np.int64), Content.empty(num_images))


def _looked_up_or_read(
    root: Path, paths: NDArray[np.str_], pixels: Pixels, store: ScanStore
) -> tuple[Rows, FileProblems]:
    keys, problems = keys_of(paths), FileProblems()
    rows = _looked_up(store, keys, states_of(str(root), paths))
    if (rows.states[:, 0] >= 0).all():
        return rows, problems
    with store.alone():
        rows = _looked_up(store, keys, states_of(str(root), paths))  # another run may have read them meanwhile
        missing = np.flatnonzero(rows.states[:, 0] < 0).astype(np.int64)
        try:
            _read_files(root, paths, missing, rows=rows, pixels=pixels, problems=problems)
        finally:  # what was read until an interruption, too
            known = np.flatnonzero(rows.states[:, 0] >= 0).astype(np.int64)
            if (rows.states[missing, 0] >= 0).any():
                store.save(rows if len(known) == len(keys) else rows.take(known))
    return rows, problems


def _looked_up(store: ScanStore, keys: NDArray[np.uint64], states: IntArray) -> Rows:
    """What the store has of these files, in their order; files that it does not have have the state -1."""
    kept = store.load()
    if kept is None:
        return _nothing(keys, len(keys))
    if np.array_equal(kept.keys, keys) and np.array_equal(kept.states, states):
        return kept  # not a copy
    rows = _nothing(keys, len(keys))
    places, at = kept.known_in(keys, states)
    rows.states[places] = states[places]
    rows.content.put(places, kept.content.take(at))
    return rows


def _read_files(
    root: Path, paths: NDArray[np.str_], images: IntArray, *, rows: Rows, pixels: Pixels, problems: FileProblems
) -> None:
    """Read these images into their places in `rows`, and add to `problems`."""
    blocks = [images[start : start + _FILES_AT_ONCE] for start in range(0, len(images), _FILES_AT_ONCE)]

    def read(block: IntArray) -> tuple[int, FileProblems]:
        return len(block), read_rows(str(root), paths, block, pixels=pixels, content=rows.content, states=rows.states)

    above = _SHOWN_ABOVE if sys.stderr.isatty() else 0  # a line comes late enough by itself
    shown = progress(len(images), "reading images", above=above, say=_log.info)
    with ThreadPoolExecutor(num_cores()) as pool, shown as advance:
        try:
            for number, of_block in pool.map(read, blocks):
                problems.reasons.update(of_block.reasons)
                problems.changed.extend(of_block.changed)
                advance(number)
                beat()
        except BaseException:  # Ctrl-C, too, must not wait for all that is still to be read
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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

"""Keeps what reading the images of a folder showed, so that the next run looks it up instead of decoding them.

One file for each folder, in the cache beside the stores of frozen stages: NumPy's uncompressed `.npz`. It holds no
Python objects, its checksums show damage, and it is replaced as a whole, so a reader never sees half of one.
"""

import contextlib
import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL
from numpy.typing import NDArray

from thawline.atomic import remove_parts, replacing, write_atomically
from thawline.data.decode import Pixels
from thawline.data.sources.content import Content
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.read_files import STATE
from thawline.data.sources.source import IntArray
from thawline.machine.file_lock import one_at_a_time
from thawline.printable import printable
from thawline.settings.cache_settings import LOCK, META_FILE

_VERSION = 1  # raise it whenever what is read from a file, or the format, changes
_ROWS_FILE = "scan.npz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """What is kept of files.

    Attributes:
        keys: Digest of each path below the folder, (N,), uint64.
        states: Size and times of each file as it was read, (N, 3), int64; see `read_files.states_of`.
        content: What reading showed.
    """

    keys: NDArray[np.uint64]
    states: IntArray
    content: Content

    def take(self, rows: "IntArray | NDArray[np.bool_]") -> "Rows":
        return Rows(self.keys[rows], self.states[rows], self.content.take(rows))

    def known_in(self, keys: NDArray[np.uint64], states: IntArray) -> tuple[IntArray, IntArray]:
        """Where files with these keys, (n,), and states, (n, 3), stand: places among them, and rows here, (k,) each."""
        order = np.argsort(self.keys, kind="stable")
        at = np.minimum(np.searchsorted(self.keys, keys, sorter=order), max(0, len(order) - 1))
        if not len(order):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        rows = order[at]
        same = (self.keys[rows] == keys) & (self.states[rows] == states).all(1) & (states >= 0).all(1)
        places = np.flatnonzero(same)
        return places.astype(np.int64), rows[places].astype(np.int64)


def keys_of(paths: NDArray[np.str_]) -> NDArray[np.uint64]:
    """A number for each path, (N,): two files of one folder share one, and size and times, in no real folder."""
    keys = np.empty(len(paths), dtype=np.uint64)
    for row, path in enumerate(paths):
        digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        keys[row] = int.from_bytes(digest, "little")
    return keys


class ScanStore:
    """What is kept of one folder's files.

    Args:
        cache: The folder of all stores.
        root: The images' folder.
        pixels: How samples are read; which of many channels are taken matters.
    """

    def __init__(self, cache: Path, root: Path, pixels: Pixels) -> None:
        self.root = root
        place = os.fsencode(os.path.realpath(root))
        self.folder = cache / fingerprint("scan", _VERSION, PIL.__version__, place, str(pixels.channels))
        self._file = self.folder / _ROWS_FILE

    def load(self, *, but: NDArray[np.uint64] | None = None) -> Rows | None:
        """What is kept, but for files with these keys; None where there is nothing, or it is damaged."""
        try:
            with self._file.open("rb") as file:
                rows = _read(file, but)
            with contextlib.suppress(OSError):  # a read-only folder is fine
                os.utime(self.folder / META_FILE)  # the cache removes the least recently used store first
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever lies there: NumPy's and zipfile's errors are of many kinds
            _log.warning("%s cannot be used (%s); the images are read again", self._file, " ".join(str(error).split()))
            return None
        return rows

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process reads the images of this folder, and keep others waiting inside the block.

        Where no lock can be made two processes may read the same images; that is safe, but slow.
        """
        lock = one_at_a_time(
            self.folder.with_name(f"{self.folder.name}{LOCK}"),
            busy=lambda: _log.info("Another run reads the images of %s; waiting for it.", printable(self.root)),
        )
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # saving will fail too, and say so
                held.enter_context(lock)
                remove_parts(self.folder)  # of killed runs
            yield

    def save(self, rows: Rows) -> None:
        """Keep these rows, beside those of other files; a warning where they cannot be written."""
        try:
            if (others := self.load(but=rows.keys)) is not None:
                rows = _joined(rows, others)
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._file) as part, part.open("wb") as file:
                np.savez(file, allow_pickle=False, keys=rows.keys, states=rows.states, **rows.content.columns())
            about = {"kind": "scan", "root": printable(self.root), "images": len(rows.keys)}
            write_atomically(self.folder / META_FILE, json.dumps({"about": about}) + "\n")
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            _log.warning(
                "what was read of the images cannot be kept in %s (%s), so the next run reads them again; "
                "choose another folder with cache.dir=DIR",
                *(self.folder.parent, reason),
            )


def _read(file: IO[bytes], but: NDArray[np.uint64] | None) -> Rows | None:
    """Raises some error where the file is not what `save` writes; zipfile compares its checksums on the way."""
    with zipfile.ZipFile(file) as archive:
        packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
    if packed:  # never written so; unpacking might fill the memory
        raise ValueError(f"{packed[0]} is compressed")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        number = len(arrays["keys"])
        keys = _checked(arrays["keys"], "keys", np.zeros(0, dtype=np.uint64), number)
        wanted: Any = slice(None) if but is None else np.flatnonzero(~np.isin(keys, but))
        if but is not None and not len(wanted):
            return None
        states = _checked(arrays["states"], "states", np.zeros((0, STATE), dtype=np.int64), number)
        empty = Content.empty(0).columns()
        content = Content(*(_checked(arrays[name], name, empty[name], number)[wanted] for name in empty))
        return Rows(keys[wanted], states[wanted], content)


def _checked(array: NDArray[Any], name: str, like: NDArray[Any], length: int) -> NDArray[Any]:
    if array.dtype != like.dtype or array.shape != (length, *like.shape[1:]):
        raise ValueError(f"{name} has type {array.dtype} and shape {array.shape}")
    return array


def _joined(rows: Rows, more: Rows) -> Rows:
    columns = zip(rows.content.columns().values(), more.content.columns().values(), strict=True)
    return Rows(
        np.concatenate([rows.keys, more.keys]),
        np.concatenate([rows.states, more.states]),
        Content(*(np.concatenate(pair) for pair in columns)),
    )

"""The folder of stores, bounded in size. A store's name is a digest of everything that its numbers depend on."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thawline.features.feature_store import ArraySpec, CorruptStore, StoredArray, StoreWriter
from thawline.machine.file_lock import one_at_a_time
from thawline.settings.cache_settings import LOCK, META_FILE, CacheSettings
from thawline.strict_json import read_json

# Raise it whenever the order of rows, the arithmetic or the format changes.
CODE_VERSION = 7
_PART = ".part"  # ending of a store's folder while it is written
_ABANDONED_S = 24 * 3600.0  # chosen: no pass over images that fit a cache takes longer
_log = logging.getLogger(__name__)


def cache_key(about: Mapping[str, Any]) -> str:
    """Name of the store that `about` describes: 32 hex digits over its JSON and the code's version."""
    body = json.dumps({**about, "code": CODE_VERSION}, sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Entry:
    """One store as `commands/cache.py` lists it."""

    folder: Path
    about: dict[str, Any]
    num_bytes: int
    last_used: float  # seconds since the epoch


class FeatureCache:
    """Stores below one folder.

    Args:
        folder: Made if it is missing.
        max_bytes: Limit of all stores; the least recently used ones are removed first.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    @classmethod
    def of(cls, settings: CacheSettings) -> "FeatureCache":
        """The cache that `cache.dir` and `cache.max_gb` describe."""
        return cls(Path(settings.dir).expanduser(), max_bytes=int(settings.max_gb * 1e9))

    def get(self, about: Mapping[str, Any]) -> StoredArray | None:
        """The store that `about` describes; None where there is none, or a damaged one, which `writers` replaces.

        Raises:
            OSError: It cannot be read now (no permission, a network that fails); that is no damage.
        """
        folder = self.folder / cache_key(about)
        try:
            return StoredArray(folder) if folder.is_dir() else None
        except CorruptStore:
            return None

    @contextlib.contextmanager
    def alone(self, about: Mapping[str, Any]) -> Iterator[None]:
        """Wait until no other process computes what `about` describes, and keep others waiting inside the block.

        On a file system without locks two processes may write the same store; that is safe, but slow.
        """
        path = self.folder / f"{cache_key(about)}{LOCK}"
        with one_at_a_time(
            path, busy=lambda: _log.info("Another run computes the same frozen stages; waiting for it.")
        ):
            yield

    def writers(
        self, abouts: Sequence[Mapping[str, Any]], specs: Sequence[ArraySpec], *, num_rows: int
    ) -> list[StoreWriter]:
        """Make room for stores of `num_rows` rows each, and begin them; call it inside `alone`.

        Raises:
            OSError: The folder cannot be written, or the disk or the limit is too small.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for about in abouts:
            self._set_damaged_aside(about)
        self._make_room(num_rows * sum(spec.row_bytes for spec in specs))
        return [
            StoreWriter(self.folder / cache_key(about), spec, about=about)
            for about, spec in zip(abouts, specs, strict=True)
        ]

    def pieces(self, about: Mapping[str, Any]) -> Path:
        """Where several processes write parts of the store that `about` describes, until it is finished."""
        return self.folder / f"{cache_key(about)}.pieces{_PART}"

    def entries(self) -> list[Entry]:
        """Every store, the least recently used first; one that cannot be read has an empty description."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((_entry(folder) for folder in folders if folder.is_dir()), key=lambda entry: entry.last_used)

    def remove(self, entry: Entry) -> None:
        """Renamed first: nobody opens half of a store. Windows keeps one whole whose files a process has open."""
        gone = entry.folder
        if gone.suffix != _PART:
            gone = _aside(entry.folder)
            try:
                os.rename(entry.folder, gone)
            except OSError:
                return
        shutil.rmtree(gone, ignore_errors=True)

    def _set_damaged_aside(self, about: Mapping[str, Any]) -> None:
        """A process that opened the store when it was whole may still read it; it is removed when it is `_is_old`."""
        folder = self.folder / cache_key(about)
        try:
            if folder.is_dir():
                StoredArray(folder)
        except CorruptStore as error:
            _log.warning("Cache: a damaged store is made again (%s).", error)
            aside = _aside(folder)
            os.rename(folder, aside)
            os.utime(aside)

    def _make_room(self, num_bytes: int) -> None:
        if num_bytes > self.max_bytes:
            raise OSError(f"{num_bytes / 1e9:.2f} GB are more than cache.max_gb={self.max_bytes / 1e9:g}")
        entries = self.entries()
        for entry in [e for e in entries if e.folder.suffix == _PART and _is_old(e)]:
            self.remove(entry)
        held = sum(entry.num_bytes for entry in entries)
        for entry in entries:
            if held + num_bytes <= self.max_bytes:
                break
            if entry.folder.suffix != _PART:
                self.remove(entry)
                held -= entry.num_bytes
        free = shutil.disk_usage(self.folder).free
        if num_bytes > free:
            raise OSError(f"{num_bytes / 1e9:.2f} GB are needed in {self.folder}, {free / 1e9:.2f} GB are free")


def _aside(folder: Path) -> Path:
    """Where a store is renamed to, out of the way of another with its name."""
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}{_PART}")


def _is_old(entry: Entry) -> bool:
    """Also where its time lies in the future, because the clock was wrong then or is now."""
    return abs(time.time() - entry.last_used) > _ABANDONED_S


def _entry(folder: Path) -> Entry:
    about: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about = read_json(folder / META_FILE)["about"]
    size, used = 0, 0.0
    with contextlib.suppress(OSError):  # another process may be removing it
        used = folder.stat().st_mtime if folder.suffix == _PART else 0.0
        for path in folder.iterdir():
            stat = path.stat()
            size, used = size + stat.st_size, max(used, stat.st_mtime)
    return Entry(folder, about, size, used)

"""Labelled images that are no files of their own: in shards, or in one array."""

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.amounts import plural
from thawline.data.decode import UnreadableImage
from thawline.data.sources.content import Content, thumb_of
from thawline.data.sources.copies import take_readable, warn_of_copies
from thawline.data.sources.fingerprint import DIGEST_BYTES, fingerprint
from thawline.data.sources.folder_index import Index
from thawline.data.sources.grouping import grouped
from thawline.data.sources.limited import limited
from thawline.data.sources.scanned import Scanned
from thawline.data.sources.set_pixels import warn_of_extremes
from thawline.data.sources.shard_index import stored_or_made
from thawline.data.sources.source import IntArray, Split
from thawline.errors import UserError
from thawline.machine.heartbeat import beat
from thawline.printable import printable

_AT_ONCE = 256  # images that a thread reads before it reports; chosen
_MAX_THREADS = 8  # as for files
_LINE_EVERY = 10.0  # seconds

_log = logging.getLogger(__name__)


class Packed(Protocol):
    """Images by row; picklable, and safe in several threads."""

    state: str  # changes when any image does

    def raw(self, row: int) -> bytes: ...

    def image(self, raw: bytes, row: int) -> Image.Image: ...


@dataclass(frozen=True)
class RowIndex(Index):
    """An index that knows which row each image is, (N,), int64."""

    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def take(self, images: IntArray) -> "RowIndex":
        taken = super().take(images)
        assert isinstance(taken, RowIndex)
        return replace(taken, rows=self.rows[images])


class PackedImages:
    """The images of an index.

    Args:
        where: Begins messages: the setting that names the data.
        folder: Of the cache, where what reading every image showed is stored; None stores nothing.
        on_unreadable: What to do about an image that does not decode: stop, or leave it out with a warning.
        verify: Read and decode every image once. If false, copies are not seen.
        group_by, max_images, max_per_class, subset_seed: See `ImageFiles`.
    Attributes:
        groups: Byte-identical images share a group; with `verify` false only images of one named group do.
        sizes: Width and height in pixels, (N, 2), int64; None where images were not read.
        thumbs: Every image squeezed, (N, 16, 16, 3), uint8; None where images were not read.
    """

    def __init__(
        self,
        packed: Packed,
        index: RowIndex,
        *,
        name: str,
        where: str,
        folder: Path | None = None,
        on_unreadable: Literal["error", "skip"] = "error",
        verify: bool = True,
        group_by: str | None = None,
        max_images: int | None = None,
        max_per_class: int | None = None,
        subset_seed: int = 0,
    ) -> None:
        if on_unreadable not in ("error", "skip"):
            raise UserError(f"data.on_unreadable={on_unreadable!r}: allowed are error, skip")
        if on_unreadable == "skip" and not verify:
            raise UserError("data.on_unreadable=skip needs data.verify=true: only reading every image finds those")
        self.name, self._packed, self._where = name, packed, where
        less = limited(index, max_images=max_images, max_per_class=max_per_class, seed=subset_seed)
        assert isinstance(less, RowIndex)
        self._index = less
        content = self._read(folder, skip=on_unreadable == "skip") if verify else None
        self._content, self._folder = content, folder
        self.sizes: IntArray | None = None if content is None else content.sizes
        self.thumbs: NDArray[np.uint8] | None = None if content is None else content.thumbs
        self.class_names: Sequence[str] = self._index.class_names
        self.labels: IntArray = self._index.labels
        self.splits: Mapping[Split, IntArray] = self._index.splits()
        self.groups, self.group_names = grouped(self._index, content, group_by)

    @property
    def scanned(self) -> Scanned | None:
        """What reading every image showed; None where they were not read."""
        if self._content is None:
            return None
        return Scanned(self._index, self._content, num_bytes=None, listed=None, folder=self._folder)

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in its own size."""
        row = int(self._index.rows[index])
        return self._packed.image(self._packed.raw(row), row)

    def describe(self, index: int) -> str:
        return printable(self._index.paths[index])

    def fingerprint(self) -> str:
        """A digest of all names, classes and splits, and of contents; of the state of the shards if unverified."""
        parts = np.zeros(0) if self._index.parts is None else self._index.parts
        content = self._packed.state if self._content is None else self._content.digests
        return fingerprint("packed", self._index.paths, "\n".join(self.class_names), self.labels, parts, content)

    def _read(self, folder: Path | None, *, skip: bool) -> Content:
        rows = self._index.rows
        path = None if folder is None else folder / f"content-{fingerprint(self._packed.state, rows)}.npz"
        reasons: dict[int, str] = {}

        def made() -> tuple[dict[str, NDArray[Any]], bool]:
            content, unreadable = read_rows(self._packed, rows)
            reasons.update(unreadable)
            return content.columns(), not unreadable

        content = Content(**stored_or_made(path, tuple(Content.__dataclass_fields__), made))
        self._report(reasons, skip=skip)
        readable = np.flatnonzero(content.digests != b"")
        kept = take_readable(self._where, self._index, readable)
        assert isinstance(kept, RowIndex)
        self._index = kept
        if len(readable) < len(rows):  # a copy of everything otherwise
            content = content.take(readable)
        warn_of_copies(self._index, content.digests)
        low, high = content.thumbs.min(axis=(1, 2, 3)), content.thumbs.max(axis=(1, 2, 3))
        warn_of_extremes(self._index.paths, np.stack([low, high], axis=1))
        return content

    def _report(self, reasons: Mapping[int, str], *, skip: bool) -> None:
        if not reasons:
            return
        place, reason = next(iter(reasons.items()))
        if not skip:
            others = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            raise UserError(f"{self._where}: {reason}{others}; repair it, or set data.on_unreadable=skip")
        first = printable(self._index.paths[place])
        what = plural(len(reasons), "unreadable image is", "unreadable images are")
        _log.warning("%s left out, first: %s", what, first)


def read_rows(packed: Packed, rows: IntArray) -> tuple[Content, dict[int, str]]:
    """Read and decode every image, in threads.

    Returns:
        What they show, and by position the reasons of those that do not decode.
    """
    number = len(rows)
    content = Content.empty(number)
    reasons: dict[int, str] = {}

    def read(start: int) -> None:
        for place in range(start, min(start + _AT_ONCE, number)):
            try:
                _read_one(packed, int(rows[place]), content, place)
            except UnreadableImage as error:
                reasons[place] = str(error)

    due = time.monotonic() + _LINE_EVERY
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        try:
            for done, _ in enumerate(pool.map(read, range(0, number, _AT_ONCE)), start=1):
                beat()
                if time.monotonic() > due:
                    _log.info("%s of %s images are read", f"{min(done * _AT_ONCE, number):,}", f"{number:,}")
                    due = time.monotonic() + _LINE_EVERY
        except BaseException:  # Ctrl-C, too, must not wait for all that is still to be read
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return content, dict(sorted(reasons.items()))


def _read_one(packed: Packed, row: int, content: Content, place: int) -> None:
    raw = packed.raw(row)
    image = packed.image(raw, row)
    content.sizes[place] = image.size
    content.thumbs[place] = np.asarray(thumb_of(image))
    content.digests[place] = hashlib.blake2b(raw, digest_size=DIGEST_BYTES).hexdigest().encode()

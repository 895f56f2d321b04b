"""The user's own images: one folder per class, with or without train, val and test folders above."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.decode import Pixels, decode
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.folder_content import Content, contradiction, group, read_all
from thawline.data.sources.folder_index import Index, scan
from thawline.data.sources.folder_layout import LAYOUT
from thawline.data.sources.set_pixels import checked_pixels, decided_range, warn_of_extremes
from thawline.data.sources.source import IntArray, Split
from thawline.data.value_range import ValueRange
from thawline.errors import UserError
from thawline.printable import printable

_NAMES_SHOWN = 5  # chosen: unreadable files named in a warning

_log = logging.getLogger(__name__)


class FolderSource:
    """Images in class folders.

    `root` holds class folders directly, or `train/` and optionally `val/` and `test/`, each holding class folders;
    `folder_layout` reads other usual layouts too. Nested folders of a class are searched; hidden ones are not. Classes
    are in natural order: "2" before "10".

    Args:
        root: The folder.
        on_unreadable: What to do about a file that does not decode: stop, or leave it out with a warning.
        verify: Read and decode every image once at the start. If false, unreadable files and copies are not detected,
            and the fingerprint covers names, sizes and times instead of contents.
        class_level: Which folder names the class: 1, the first below `root` or below a split's, 2, those in it.
        leave_out: Names of folders to pass over; "auto" passes over masks that lie beside images.
    Attributes:
        groups: Byte-identical images share a group; with `verify` false every image is a group by itself.
        unreadable: Files left out, as paths relative to `root`.
    Raises:
        UserError: the layout is not as described, or an image does not decode.
    """

    def __init__(
        self,
        *,
        root: str | Path | None,
        on_unreadable: Literal["error", "skip"] = "error",
        verify: bool = True,
        class_level: int | Literal["auto"] = "auto",
        leave_out: Sequence[str] | Literal["auto"] = "auto",
        value_range: Sequence[float] | Literal["auto"] = "auto",
        channels: Sequence[int] | None = None,
    ) -> None:
        if on_unreadable not in ("error", "skip"):
            raise UserError(f"data.on_unreadable={on_unreadable!r}: allowed are error, skip")
        if on_unreadable == "skip" and not verify:
            raise UserError(
                "data.on_unreadable=skip needs data.verify=true: only reading every image finds those to skip"
            )
        if class_level not in ("auto", 1, 2):
            raise UserError(f"data.class_level={class_level}: allowed are auto, 1, 2")
        if isinstance(leave_out, str) and leave_out != "auto":
            raise UserError(f"data.leave_out={leave_out}: give auto or a list, data.leave_out=[{leave_out}]")
        self.root = checked_root(root)
        self.name = printable(self.root.resolve().name or root)
        self.unreadable: list[str] = []
        self._index = scan(
            self.root,
            class_level=None if class_level == "auto" else class_level,
            leave_out=None if leave_out == "auto" else list(leave_out),
        )
        self._pixels = checked_pixels(value_range, channels)
        self._content = self._read_files(skip=on_unreadable == "skip") if verify else None
        self._pixels = replace(self._pixels, value_range=self._decided_range())
        self.class_names: Sequence[str] = self._index.class_names
        self.labels: IntArray = self._index.labels
        every = np.arange(len(self.labels), dtype=np.int64)
        self.groups: IntArray = every if self._content is None else group(self._content.digests)
        self.splits: Mapping[Split, IntArray] = self._index.splits()

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in its own size."""
        return decode(self.path(index), pixels=self._pixels)

    def path(self, index: int) -> Path:
        return self.root / str(self._index.paths[index])

    def describe(self, index: int) -> str:
        return printable(self.path(index))

    def fingerprint(self) -> str:
        """A digest of all paths (they hold class and split) and contents, or sizes and times if unverified."""
        pixels = [] if self._pixels == Pixels() else [str(self._pixels)]
        if self._content is not None:
            return fingerprint("folder", self._index.paths, self._content.digests, *pixels)
        states = [os.stat(self.root / str(path)) for path in self._index.paths]
        sizes_and_times = np.array([(s.st_size, s.st_mtime_ns) for s in states], dtype=np.int64)  # (N, 2)
        return fingerprint("folder", self._index.paths, sizes_and_times, *pixels)

    @property
    def value_range(self) -> ValueRange | None:
        """Which values become black and white; None where all images have 8 bits."""
        return self._pixels.value_range

    @property
    def sizes(self) -> IntArray | None:
        """Width and height of every image in pixels, (N, 2), int64; None where they were not read."""
        return None if self._content is None else self._content.sizes

    def _decided_range(self) -> ValueRange | None:
        paths, looked = self._index.paths, np.arange(len(self._index.paths))
        if self._content is not None:
            looked = np.flatnonzero(self._content.is_wide)
            if 0 < len(looked) < len(paths):
                _log.warning(
                    "%d of %d images have values wider than 8 bits, first: %s; those of 8 bits stay as they are",
                    *(len(looked), len(paths), printable(paths[looked[0]])),
                )
        value_range = decided_range(self.root, paths, self._pixels, looked=looked)
        if value_range is None and self._pixels.value_range is not None:
            raise UserError(f"data.value_range={list(self._pixels.value_range)}: has no effect, every image has 8 bits")
        return value_range

    def _read_files(self, *, skip: bool) -> Content:
        content, reasons = read_all(self.root, self._index.paths, pixels=self._pixels)
        self._report_unreadable(reasons, skip=skip)
        readable = np.flatnonzero(content.digests != b"")
        self._index = _take_readable(self.root, self._index, readable)
        content = content.take(readable)
        _warn_of_copies(self._index, content.digests)
        narrow = np.flatnonzero(~content.is_wide)
        warn_of_extremes(self._index.paths[narrow], _extremes(content.thumbs[narrow]))
        return content

    def _report_unreadable(self, reasons: Mapping[str, str], *, skip: bool) -> None:
        if not reasons:
            return
        if not skip:
            others = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            raise UserError(
                f"data.root={self.root}: {next(iter(reasons.values()))}{others}; "
                "fix or delete it, or set data.on_unreadable=skip"
            )
        self.unreadable = list(reasons)
        names = ", ".join(map(printable, self.unreadable[:_NAMES_SHOWN]))
        more = ", ..." if len(reasons) > _NAMES_SHOWN else ""
        _log.warning("%d unreadable images are left out of %s: %s%s", len(reasons), self.root, names, more)


def _extremes(thumbs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lowest and highest level of each thumb, (N, 2)."""
    return np.stack([thumbs.min(axis=(1, 2, 3)), thumbs.max(axis=(1, 2, 3))], axis=1)


def checked_root(root: str | Path | None) -> Path:
    """`root` as an absolute path; raises `UserError` unless it is an existing folder."""
    if root is None or not str(root).strip():
        raise UserError(f"data.root is not set: give data.root=DIR, a folder that holds {LAYOUT}")
    path = Path(root).expanduser().absolute()
    if not path.exists():
        raise UserError(f"data.root={root}: no such folder (looked for {path}); give a folder that holds {LAYOUT}")
    if not path.is_dir():
        raise UserError(f"data.root={root}: is a file; give a folder that holds {LAYOUT}")
    return path


def _take_readable(root: Path, index: Index, readable: IntArray) -> Index:
    kept = index.take(readable)
    emptied = set(index.splits()) - set(kept.splits())
    if emptied:
        raise UserError(f"data.root={root}: {min(emptied)}/ has no readable image; add images or remove the folder")
    learned = kept.labels[kept.splits()["train"]] if kept.parts is not None else kept.labels
    counts = np.bincount(learned, minlength=len(kept.class_names))  # (K,)
    if (counts == 0).any():
        name = kept.class_names[int(counts.argmin())]
        raise UserError(f"data.root={root}: class {name!r} has no readable image; add images or remove the folder")
    return kept


def _warn_of_copies(index: Index, digests: NDArray[np.bytes_]) -> None:
    pair = contradiction(index.labels, group(digests))
    if pair is not None:
        first, second = (printable(index.paths[i]) for i in pair)
        _log.warning("the same image stands under two classes, for example %s and %s", first, second)
    splits = index.splits()
    for split, other in (("test", "train"), ("val", "train"), ("test", "val")):
        if split in splits and other in splits:
            _warn_of_leak(index.paths, digests, split=(split, splits[split]), other=(other, splits[other]))


def _warn_of_leak(
    paths: NDArray[np.str_], digests: NDArray[np.bytes_], *, split: tuple[str, IntArray], other: tuple[str, IntArray]
) -> None:
    (name, indices), (other_name, other_indices) = split, other
    leaked = indices[np.isin(digests[indices], digests[other_indices])]
    if not len(leaked):
        return
    twin = other_indices[digests[other_indices] == digests[leaked[0]]][0]
    words = {"train": "training", "val": "validation", "test": "test"}
    _log.warning(
        "%d %s images are byte-identical to %s images, first: %s = %s",
        *(len(leaked), words[name], words[other_name], printable(paths[leaked[0]]), printable(paths[twin])),
    )

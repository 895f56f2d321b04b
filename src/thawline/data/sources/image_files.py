"""Labelled image files that an index lists: read, grouped, and decoded with one range of values."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.amounts import plural
from thawline.data.decode import AS_THEY_ARE, decode
from thawline.data.sources.content import Content
from thawline.data.sources.copies import take_readable, warn_of_copies
from thawline.data.sources.excluded import without_excluded
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.folder_content import read_all
from thawline.data.sources.folder_index import Index
from thawline.data.sources.grouping import grouped
from thawline.data.sources.limited import limited
from thawline.data.sources.read_files import states_of
from thawline.data.sources.scan_store import ScanStore
from thawline.data.sources.scanned import Scanned
from thawline.data.sources.set_pixels import checked_pixels, decided_range, warn_of_extremes
from thawline.data.sources.source import FloatArray, IntArray, Split
from thawline.data.value_range import ValueRange
from thawline.errors import UserError
from thawline.printable import printable
from thawline.settings.cache_settings import resolved_dir

_NAMES_SHOWN = 5  # chosen: unreadable files named in a warning

_log = logging.getLogger(__name__)


class ImageFiles:
    """The images of an index.

    Args:
        root: The folder that the index's paths begin in.
        name: Of the data set.
        where: Begins messages: the setting that names the data.
        on_unreadable: What to do about a file that does not decode: stop, or leave it out with a warning.
        verify: Read and decode every image once at the start. If false, unreadable files and copies are not detected,
            and the fingerprint covers names, sizes and times instead of contents.
        value_range: Which values become black and white, where they are wider than 8 bits; "auto" takes the range from
            a sample of the images.
        channels: Which of more than three channels are taken, one or three, counted from 0.
        group_by: A regular expression on the path below `root`, whose first group names the group of an image; or
            "near_copies". No group comes to lie in two splits.
        max_images, max_per_class: Take at most so many images, seeded by `subset_seed`, the classes in proportion.
        scan_dir: The cache that keeps what reading every image showed, or "auto"; None reads every image every time.
        exclude: A table with the column `path`: these images are left out, before all else.
        listed: The folder or table that lists the same images to an inspection.
    Attributes:
        groups: Byte-identical images share a group; with `verify` false only images of one named group do.
        weights: How much each image counts in training, (N,), float64, > 0; None where all count alike.
        group_names: Name of each image's group, (N,), str; empty without one.
        unreadable: Files left out, as paths relative to `root`.
        excluded: What `exclude` left out; None without it.
    Raises:
        UserError: An image does not decode, or a setting is wrong.
    """

    def __init__(
        self,
        root: Path,
        index: Index,
        *,
        name: str,
        where: str,
        on_unreadable: Literal["error", "skip"] = "error",
        verify: bool = True,
        value_range: Sequence[float] | Literal["auto"] = "auto",
        channels: Sequence[int] | None = None,
        group_by: str | None = None,
        max_images: int | None = None,
        max_per_class: int | None = None,
        subset_seed: int = 0,
        scan_dir: str | Path | None = None,
        exclude: str | None = None,
        listed: Path | None = None,
    ) -> None:
        if on_unreadable not in ("error", "skip"):
            raise UserError(f"data.on_unreadable={on_unreadable!r}: allowed are error, skip")
        if on_unreadable == "skip" and not verify:
            raise UserError(
                "data.on_unreadable=skip needs data.verify=true: only reading every image finds those to skip"
            )
        self.root, self.name, self._where = root, name, where
        index, self.excluded = without_excluded(index, exclude, root=root, where=where)
        self._index = limited(index, max_images=max_images, max_per_class=max_per_class, seed=subset_seed)
        self.unreadable: list[str] = []
        self.pixels = checked_pixels(value_range, channels)
        store = None if scan_dir is None else ScanStore(Path(resolved_dir(str(scan_dir))), root, self.pixels)
        self._listed, self._store_folder = listed, None if store is None else store.folder
        self._content = self._read_files(store, skip=on_unreadable == "skip") if verify else None
        self.pixels = replace(self.pixels, value_range=self._decided_range())
        self.class_names: Sequence[str] = self._index.class_names
        self.labels: IntArray = self._index.labels
        self.weights: FloatArray | None = self._index.weights
        self.splits: Mapping[Split, IntArray] = self._index.splits()
        self.groups, self.group_names = grouped(self._index, self._content, group_by)

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, in its own size; a large JPEG as `pixels.shorter` says."""
        narrow = replace(self.pixels, only_8_bit=self.value_range is None)
        return decode(self.path(index), pixels=narrow)

    def path(self, index: int) -> Path:
        return self.root / str(self._index.paths[index])

    def describe(self, index: int) -> str:
        return printable(self.path(index))

    def fingerprint(self) -> str:
        """A digest of all paths, classes and splits, and of contents, or of sizes and times if unverified."""
        more: list[str | NDArray[Any]] = [] if self.pixels.of_images == AS_THEY_ARE else [str(self.pixels)]
        if not self._index.named_by_path:
            parts = np.zeros(0) if self._index.parts is None else self._index.parts
            more += ["\n".join(self.class_names), self.labels, parts]
        more += [] if self.weights is None else [self.weights]
        if self._content is not None:
            return fingerprint("folder", self._index.paths, self._content.digests, *more)
        sizes_and_times = states_of(str(self.root), self._index.paths)[:, :2]
        return fingerprint("folder", self._index.paths, sizes_and_times, *more)

    @property
    def value_range(self) -> ValueRange | None:
        """Which values become black and white; None where all images have 8 bits."""
        return self.pixels.value_range

    @property
    def sizes(self) -> IntArray | None:
        """Width and height of every image in pixels, (N, 2), int64; None where they were not read."""
        return None if self._content is None else self._content.sizes

    @property
    def thumbs(self) -> NDArray[np.uint8] | None:
        """Every image squeezed to few pixels, (N, 16, 16, 3), uint8; None where they were not read."""
        return None if self._content is None else self._content.thumbs

    @property
    def scanned(self) -> Scanned | None:
        """What reading every image showed; None where they were not read."""
        if self._content is None:
            return None
        num_bytes = states_of(str(self.root), self._index.paths)[:, 0]
        return Scanned(self._index, self._content, num_bytes, self._listed, self._store_folder)

    def _decided_range(self) -> ValueRange | None:
        paths, looked = self._index.paths, np.arange(len(self._index.paths))
        if self._content is not None:
            looked = np.flatnonzero(self._content.is_wide)
            if 0 < len(looked) < len(paths):
                _log.warning(
                    "%s with values wider than 8 bits, first: %s; those of 8 bits stay as they are",
                    *(f"{len(looked)} of {plural(len(paths), 'image')}", printable(paths[looked[0]])),
                )
        value_range = decided_range(self.root, paths, self.pixels, looked=looked)
        if self._content is None:
            return value_range or self.pixels.value_range
        if value_range is None and self.pixels.value_range is not None:
            raise UserError(f"data.value_range={list(self.pixels.value_range)}: has no effect, every image has 8 bits")
        return value_range

    def _read_files(self, store: ScanStore | None, *, skip: bool) -> Content:
        content, reasons = read_all(self.root, self._index.paths, pixels=self.pixels, store=store)
        self._report_unreadable(reasons, skip=skip)
        readable = np.flatnonzero(content.digests != b"")
        self._index = take_readable(self._where, self._index, readable)
        content = content if len(readable) == len(content.digests) else content.take(readable)
        warn_of_copies(self._index, content.digests)
        narrow = np.flatnonzero(~content.is_wide)
        warn_of_extremes(self._index.paths[narrow], _extremes(content.thumbs[narrow]))
        return content

    def _report_unreadable(self, reasons: Mapping[str, str], *, skip: bool) -> None:
        if not reasons:
            return
        if not skip:
            others = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            raise UserError(
                f"{self._where}: {next(iter(reasons.values()))}{others}; "
                "fix or delete it, or set data.on_unreadable=skip"
            )
        self.unreadable = list(reasons)
        names = ", ".join(map(printable, self.unreadable[:_NAMES_SHOWN]))
        more = ", ..." if len(reasons) > _NAMES_SHOWN else ""
        what = plural(len(reasons), "unreadable image is", "unreadable images are")
        _log.warning("%s left out of %s: %s%s", what, self.root, names, more)


def _extremes(thumbs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lowest and highest level of each thumb, (N, 2)."""
    return np.stack([thumbs.min(axis=(1, 2, 3)), thumbs.max(axis=(1, 2, 3))], axis=1)

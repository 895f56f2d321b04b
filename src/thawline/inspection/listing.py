"""Which images lie in a folder or a table: read as data.root and data.file are, but one class or none is no error."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from thawline.amounts import plural
from thawline.data.sources.class_names import class_name
from thawline.data.sources.folder_index import Index, scan
from thawline.data.sources.folder_walk import Walk, looked_for
from thawline.data.sources.source import SPLITS
from thawline.data.sources.table_index import index_of
from thawline.data.sources.table_rows import COLUMNS, read_rows
from thawline.errors import UserError, named
from thawline.printable import printable

_READERS = "thawline.data"  # the loggers of what reads folders and tables


@dataclass(frozen=True)
class Reading:
    """How a folder or a table is read, where it says it in more than one way.

    Attributes:
        class_level, leave_out: Of a folder; see `scan`.
        columns: Of a table: column -> its name in the file, where that differs.
        words: The settings as they were typed, which a run takes too.
    """

    class_level: int | None = None
    leave_out: list[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()


AS_IT_IS = Reading()


@dataclass(frozen=True)
class Listing:
    """Images that were listed, not opened.

    Attributes:
        words: Settings of a run that reads them alike.
        where: The folder or the table.
        root: What the index's paths begin in.
        labelled: Whether the images have classes; loose images in a folder have none.
        notes: What the user should know about the reading, a sentence each.
    """

    where: Path
    root: Path
    index: Index
    labelled: bool
    notes: list[str]
    words: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.index.paths)

    def path(self, image: int) -> Path:
        return self.root / str(self.index.paths[image])

    def shown(self, image: int) -> str:
        """The path below `root`, as text."""
        return printable(self.index.paths[image])

    def class_of(self, image: int) -> str:
        return self.index.class_names[int(self.index.labels[image])]

    def split_of(self, image: int) -> str:
        """Empty where no split is given."""
        return "" if self.index.parts is None else SPLITS[self.index.parts[image]]


def listed(where: Path, reading: Reading = AS_IT_IS) -> Listing:
    """List the images of a folder, in any layout that data.root accepts, or of a table with the columns path and label.

    Raises:
        UserError: There is nothing of that kind, no image, or more than one way to read it.
    """
    place = where.expanduser().absolute()
    if not place.exists():
        raise UserError(f"{printable(where)}: no such folder or file; give a folder of images, or a table")
    with collected_notes() as notes:
        listing = _of_table(place, reading, notes) if place.is_file() else _of_folder(place, reading, notes)
    if not len(listing):
        raise UserError(f"{printable(where)}: holds no image ({looked_for()})")
    return replace(listing, words=reading.words)


def _of_folder(root: Path, reading: Reading, notes: list[str]) -> Listing:
    walk = Walk(reading.leave_out)
    if walk.loose(root) and not walk.subfolders(root):
        paths = sorted(path.name for path in walk.loose(root))
        notes.append("the images lie in no class folders, so their labels are not known; only the files were inspected")
        index = Index([class_name(root.name)], np.array(paths), np.zeros(len(paths), dtype=np.int64), None)
        return Listing(root, root, index, labelled=False, notes=notes)
    try:
        index = scan(root, class_level=reading.class_level, leave_out=reading.leave_out, to_learn=False)
        return Listing(root, root, index, labelled=True, notes=notes)
    except UserError as error:
        text = str(error).removeprefix("data.root: ").removeprefix(f"data.root={root}: ")
        raise UserError(f"{printable(root)}: {text}") from error


def _of_table(file: Path, reading: Reading, notes: list[str]) -> Listing:
    where = printable(file)
    try:
        rows = read_rows(file, {column: reading.columns.get(column, column) for column in COLUMNS})
    except UserError as error:
        raise UserError(str(error).removeprefix("data.file=")) from error
    index = index_of(rows, where=where, root=file.parent, missing_is_error=False, to_learn=False)
    return Listing(file, file.parent, index, labelled=True, notes=notes)


def class_counts(listing: Listing) -> dict[str, int]:
    """Images of every class, the classes in their order."""
    counts = np.bincount(listing.index.labels, minlength=len(listing.index.class_names))
    return dict(zip(listing.index.class_names, counts.tolist(), strict=True))


def about(listing: Listing) -> str:
    """The listing in a few words."""
    number, classes, splits = len(listing), len(listing.index.class_names), listing.index.splits()
    parts = f", splits {named(list(splits))}" if splits else ""
    of = f" of {plural(classes, 'class', 'classes')}" if listing.labelled else ""
    return f"{plural(number, 'image')}{of} in {printable(listing.where)}{parts}"


class _Collector(logging.Handler):
    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        self._notes.append(record.getMessage())


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """What the reading of folders and files warns of, as sentences instead of lines of a log."""
    notes: list[str] = []
    logger, collector = logging.getLogger(_READERS), _Collector(notes)
    propagates = logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield notes
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagates

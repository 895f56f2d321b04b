"""Images that a table leaves out: issues.csv of an inspection, after a person has looked, or any table with paths."""

import csv
import hashlib
import io
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.sources.folder_index import Index
from thawline.errors import UserError, named
from thawline.printable import printable

# Issues that say how to show or to name an image, not that it is wrong: their rows leave nothing out.
KEEPS = frozenset(["cropped", "odd_file", "odd_size"])
_PATH, _ISSUE = "path", "issue"  # columns
_SHOWN = 3  # paths that are named in a message

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exclusion:
    """What a table left out.

    Attributes:
        file: As it was given.
        images: How many.
        sha256: Of the table.
    """

    file: str
    images: int
    sha256: str


def without_excluded(index: Index, file: str | None, *, root: Path, where: str) -> tuple[Index, Exclusion | None]:
    """The index without the images that the rows of `file` name, and what that was; None where no file is given.

    Args:
        file: CSV with the column `path`, below `root` or absolute. Rows without a path are passed over, and so are
            those whose `issue` is one of `KEEPS`.
        where: Begins a message on a class that loses every image.
    Raises:
        UserError: It cannot be read, has no such column, names no image of the set, or leaves a class or a split empty.
    """
    if file is None:
        return index, None
    name = f"data.exclude={printable(file)}"
    content = _read(file, name)
    rows = list(_rows(content, name))
    wanted = {_below(path, root): issue for path, issue in rows if issue not in KEEPS}
    excluded = np.array([str(path) in wanted for path in index.paths], dtype=np.bool_)
    unknown = sorted(set(wanted) - {str(path) for path in index.paths[excluded]})
    if wanted and not excluded.any():
        raise UserError(
            f"{name}: none of its {len(wanted):,} paths is an image of {where}, first: {printable(unknown[0])}; paths "
            f"are below {printable(root)}, or absolute"
        )
    _tell(name, index, excluded, unknown, wanted, passed_over=sum(issue in KEEPS for _, issue in rows))
    kept = index.take(np.flatnonzero(~excluded).astype(np.int64))
    _refuse_emptied(name, index, kept)
    return kept, Exclusion(str(file), int(excluded.sum()), hashlib.sha256(content).hexdigest())


def _read(file: str, name: str) -> bytes:
    if not str(file).strip():
        raise UserError(f"{name}: give a table with the column path, such as issues.csv of an inspection, or null")
    try:
        return Path(file).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror}); give a table with the column path") from error


def _rows(content: bytes, name: str) -> Iterator[tuple[str, str]]:
    """(path, issue) of the rows that name an image."""
    # A byte that is no UTF-8 stays what it is, as in the names of files; Excel writes the mark that "-sig" takes off.
    text = content.decode("utf-8-sig", errors="surrogateescape")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        if _PATH not in (reader.fieldnames or []):
            columns = named([printable(column) for column in reader.fieldnames or ["nothing"]], most=6)
            raise UserError(f"{name}: has no column {_PATH!r}; it has {columns}")
        for row in reader:
            if row[_PATH]:
                yield row[_PATH], row.get(_ISSUE) or ""
    except csv.Error as error:
        raise UserError(f"{name}: is no CSV table ({error})") from error


def _below(path: str, root: Path) -> str:
    """As an index has it: relative to `root`, with forward slashes."""
    full = Path(os.path.normpath(root / path))
    return full.relative_to(root).as_posix() if root in full.parents else path


def _tell(
    name: str, index: Index, excluded: NDArray[np.bool_], unknown: list[str], wanted: dict[str, str],
    *, passed_over: int,
) -> None:  # fmt: skip
    issues = Counter(wanted[str(path)] or "no issue named" for path in index.paths[excluded])
    why = ", ".join(f"{number} {printable(issue)}" for issue, number in issues.most_common())
    _log.info("%s: left out are %d of %s (%s).", name, excluded.sum(), plural(len(excluded), "image"), why)
    if passed_over:
        rows, verb = plural(passed_over, "row"), "leaves" if passed_over == 1 else "leave"
        _log.info("%s: %s of %s %s nothing out.", name, rows, named(sorted(KEEPS)), verb)
    if unknown:
        shown = named([printable(path) for path in unknown], most=_SHOWN)
        what = plural(len(unknown), "path is no image", "paths are no images")
        _log.warning("%s: %s of this set: %s", name, what, shown)


def _refuse_emptied(name: str, index: Index, kept: Index) -> None:
    emptied = sorted(set(index.splits()) - set(kept.splits()))
    if emptied:
        raise UserError(f"{name}: leaves no image in {emptied[0]}; keep some of its rows out of the table")
    before, after = (np.bincount(part.labels, minlength=len(index.class_names)) for part in (index, kept))
    lost = np.flatnonzero((before > 0) & (after == 0))
    if len(lost):
        raise UserError(
            f"{name}: leaves no image of class {index.class_names[int(lost[0])]!r}; keep some of its rows out of the "
            "table, or leave out the class's folder"
        )

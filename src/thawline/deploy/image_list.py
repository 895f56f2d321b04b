"""The images that a user names: files, folders, patterns, lists of paths, standard input -> one list."""

import glob
import hashlib
import itertools
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from thawline.data.sources.folder_walk import Walk, is_image_name, looked_for
from thawline.data.sources.table_rows import read_rows
from thawline.errors import UserError, named
from thawline.printable import printable

STDIN = "-"  # in place of a path
LIST_ENDINGS = (".txt", ".lst", ".list")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_PATH = "path"  # column of a table
_SEPARATOR = b"\0"  # no path holds it
_LINES_TRIED = 100  # chosen: of a list, to see whether it is one, and from which folder its paths begin


class PathList(Sequence[str]):
    """Paths in one block of bytes: 200,000 of them as Python's strings take 30 MB, and processes would copy them.

    >>> list(PathList(["a.jpg", "b.jpg"]))
    ['a.jpg', 'b.jpg']
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._bytes = bytearray()
        self._ends = array("q")
        for path in paths:
            self._bytes += os.fsencode(path)
            self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index):  # type: ignore[no-untyped-def] # slices are not needed
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(bytes(self._bytes[start : self._ends[index]]))

    def digest(self) -> str:
        """SHA-256 of all paths in their order, in hexadecimal digits."""
        return hashlib.sha256(self._bytes + _SEPARATOR + self._ends.tobytes()).hexdigest()


@dataclass
class Listed:
    """What the arguments name.

    Attributes:
        folders: Those that were searched.
        passed_over: Files of folders and patterns that are no images by their name, by extension.
    """

    paths: PathList = field(default_factory=lambda: PathList([]))
    folders: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def listed(arguments: Sequence[str], *, stdin: BinaryIO) -> Listed:
    """The images of every argument, in the order of the arguments.

    Args:
        arguments: Image files; folders, searched at every depth in the order of names; patterns such as
            `photos/**/*.jpg`; text files (.txt, .lst, .list) with a path a line; tables (.csv, .tsv, .jsonl, .ndjson,
            .parquet) with a column `path`; `-` for lines of paths on `stdin`.
    Raises:
        UserError: A path is missing, a pattern matches nothing, a list names no file, or there is no image at all.
    """
    result = Listed()
    result.paths = PathList(path for argument in arguments for path in _of_argument(argument, result, stdin))
    if not result.paths:
        kinds = result.passed_over
        others = f" (only {named([f'{n} {kind}' for kind, n in kinds.most_common()])})" if kinds else ""
        if list(arguments) == [STDIN]:
            raise UserError("standard input: no path came; write one on each line, or name files or folders instead")
        names = ["standard input" if argument == STDIN else printable(argument) for argument in arguments]
        raise UserError(f"{named(names)}: holds no image{others}; {looked_for(kinds)}")
    return result


def _of_argument(argument: str, result: Listed, stdin: BinaryIO) -> Iterator[str]:
    if argument == STDIN:
        yield from lines_of(stdin.read())
    elif os.path.isdir(argument):
        yield from _of_folder(argument, result)
    elif os.path.exists(argument):
        yield from _of_file(argument)
    elif glob.has_magic(argument):
        yield from _of_pattern(argument, result)
    else:
        raise UserError(f"{printable(argument)}: no such file or folder")


def _of_folder(folder: str, result: Listed) -> Iterator[str]:
    result.folders.append(Path(folder))
    walk = Walk(leave_out=())
    yield from sorted((str(path) for path in walk.images(Path(folder))), key=lambda path: path.split(os.sep))
    result.passed_over += walk.other_kinds


def _of_pattern(pattern: str, result: Listed) -> Iterator[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise UserError(f"{printable(pattern)}: matches no file")
    recursive = "**" in pattern  # then what lies in a folder that matches is a match itself
    if recursive:
        parts = Path(pattern).parts
        result.folders.append(Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts)))
    for path in matches:
        if os.path.isdir(path):
            yield from () if recursive else _of_folder(path, result)
        elif is_image_name(path):
            yield path
        else:
            result.passed_over[Path(path).suffix.lower() or "without an extension"] += 1


def _of_file(path: str) -> list[str]:
    if path.lower().endswith(LIST_ENDINGS):
        try:
            return _where_they_are(path, lines_of(Path(path).read_bytes()), what="a list of images, a path a line")
        except OSError as error:
            raise UserError(f"{printable(path)}: {error.strerror}") from error
    if path.lower().endswith(TABLE_ENDINGS):
        return _where_they_are(path, _of_table(path), what="a table of images")
    return [path]


def _of_table(path: str) -> list[str]:
    """The column `path`; rows that have none are left out."""
    try:
        rows = read_rows(Path(path), {_PATH: _PATH})
    except UserError as error:  # its words are for data=table
        text = str(error).replace("; name it with data.columns.path=NAME", "; a table of images needs a column path")
        raise UserError(text.removeprefix("data.file=")) from error
    return [str(row.values[_PATH]) for row in rows if row.values[_PATH] is not None]


def _where_they_are(path: str, names: list[str], *, what: str) -> list[str]:
    """Paths of a file; they begin in the current folder, or, where none of them lies there, in the file's."""
    for start in ("", os.path.dirname(path)):
        if any(os.path.exists(os.path.join(start, name)) for name in names[:_LINES_TRIED]):
            return [os.path.join(start, name) for name in names]
    first = f"the first is {printable(names[0])[:80]!r}" if names else "it is empty"
    raise UserError(f"{printable(path)}: read as {what}, but names no file seen from here or from its folder; {first}")


def lines_of(content: bytes) -> list[str]:
    """Paths, one a line, or ended by zero bytes as `find -print0` writes them; empty ones are left out."""
    content = content.removeprefix(b"\xef\xbb\xbf")  # that some editors write in front of UTF-8
    parts = content.split(b"\0") if b"\0" in content else (line.rstrip(b"\r") for line in content.split(b"\n"))
    return [os.fsdecode(part) for part in parts if part.strip()]

"""A pass over images that several processes share: each stores pieces of the rows, and the first puts them together.

A piece is whole batches, the same ones that one process would compute, so that the numbers are the same too. It is
written whole, and stays until the store is finished: a pass that was interrupted goes on with the pieces that lack.
"""

import itertools
import math
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thawline.machine.utf8_path import utf8_file

_T = TypeVar("_T")
# Chosen: what an interrupted pass has to make again is a 64th at most for each process, and a store of the 10 GB that
# fit a cache by default has pieces of 160 MB, which are held in memory.
_MOST_PIECES = 64
_ROWS, _CHECKSUM = "rows", "crc32"  # in a piece: its tensor, and a word of its header


class Team(Protocol):
    """The processes of a run, which share a pass; all call `next_word_of_first` and `gather` in the same order."""

    @property
    def rank(self) -> int:
        """Number of this one, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def look_around(self) -> None:
        """Call it often.

        Raises:
            OSError: Another process cannot write.
            UserError: Another process failed, or is gone.
        """

    def next_word_of_first(self, value: str) -> str:
        """`value` of the first process; raises as `look_around` does while it is waited for."""

    def gather(self) -> None:
        """Wait for all; raises as `look_around` does."""


def pieces_of(num_rows: int, *, batch: int, processes: int) -> list[range]:
    """Rows in order, in pieces of whole batches; the same ones for up to 64 processes.

    >>> pieces_of(10, batch=4, processes=2)
    [range(0, 4), range(4, 8), range(8, 10)]
    """
    batches = math.ceil(num_rows / batch)
    number = min(batches, max(_MOST_PIECES, processes))
    ends = [min(batches * i // number * batch, num_rows) for i in range(number + 1)]
    return [range(start, end) for start, end in itertools.pairwise(ends)]


def share_of(pieces: Sequence[_T], *, rank: int, size: int) -> Sequence[_T]:
    """Those of one process: neighbours, and as many as others have, or one more or less.

    >>> [share_of([1, 2, 3, 4, 5], rank=rank, size=2) for rank in range(2)]
    [[1, 2], [3, 4, 5]]
    """
    return pieces[len(pieces) * rank // size : len(pieces) * (rank + 1) // size]


def write_pieces(outputs: Iterable[Sequence[Tensor]], pieces: Sequence[range], folders: Sequence[Path]) -> None:
    """Store the pieces, each as soon as it is complete.

    Args:
        outputs: One batch after the other of the rows of `pieces`; of each, rows for every folder.
    Raises:
        OSError: A folder cannot be written.
    """
    waiting, batches = iter(pieces), list[Sequence[Tensor]]()
    piece = next(waiting)
    for batch in outputs:
        batches.append(batch)
        if sum(len(rows[0]) for rows in batches) == len(piece):
            for folder, rows in zip(folders, zip(*batches, strict=True), strict=True):
                _write(_path(folder, piece), torch.cat(rows))
            batches, piece = [], next(waiting, range(0))
    assert not batches, "a batch lies in two pieces"


def has_piece(folder: Path, piece: range) -> bool:
    """Whether it is there and whole."""
    return _read(_path(folder, piece), len(piece)) is not None


def rows_of_pieces(folder: Path, pieces: Sequence[range]) -> Iterator[Tensor]:
    """One piece after the other.

    Raises:
        OSError: One is not there, or not whole.
    """
    for piece in pieces:
        rows = _read(path := _path(folder, piece), len(piece))
        if rows is None:
            raise OSError(f"{path}: a part of a store that was just written is gone")
        yield rows


def _path(folder: Path, piece: range) -> Path:
    return folder / f"{piece.start:012d}.safetensors"


def _write(path: Path, rows: Tensor) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        save_file({_ROWS: rows.contiguous()}, unfinished, metadata={_CHECKSUM: _checksum(rows)})
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    os.replace(unfinished, path)


def _read(path: Path, num_rows: int) -> Tensor | None:
    try:
        with utf8_file(path) as readable, safe_open(readable, "pt") as file:
            rows: Tensor = file.get_tensor(_ROWS)
            checksum = (file.metadata() or {}).get(_CHECKSUM)
    except (SafetensorError, OSError):
        return None
    return rows if len(rows) == num_rows and checksum == _checksum(rows) else None


def _checksum(rows: Tensor) -> str:
    return str(zlib.crc32(rows.contiguous().view(torch.uint8).numpy().data))

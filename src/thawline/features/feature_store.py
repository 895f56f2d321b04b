"""One stored array of activations in safetensors shards: memory-mapped, checked when opened, written whole.

Any safetensors reader can read a shard; its only tensor is `rows`.
"""

import contextlib
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from thawline.errors import UserError
from thawline.settings.cache_settings import META_FILE
from thawline.strict_json import misfit, read_json

SHARD_BYTES = 256 * 1024**2  # chosen: writing or checking a shard takes well under a second
# As a store's meta.json names them. NumPy has no bfloat16, so it reads the same bytes as int16.
_TYPES: dict[str, tuple[torch.dtype, type[np.generic]]] = {
    "float32": (torch.float32, np.float32),
    "bfloat16": (torch.bfloat16, np.int16),
    "float16": (torch.float16, np.float16),
}
_MOST_AXES = 8  # of a row; chosen: activations have three
_ROWS = "rows"  # name of the tensor in a shard


@dataclass(frozen=True)
class ArraySpec:
    """Shape of one row and its type: `float32`, `bfloat16` or `float16`."""

    row: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, rows: Tensor) -> "ArraySpec":
        """Of rows (N, *row)."""
        return cls(tuple(rows.shape[1:]), str(rows.dtype).removeprefix("torch."))

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row) * self.torch_type.itemsize

    @property
    def torch_type(self) -> torch.dtype:
        return _TYPES[self.dtype][0]

    @property
    def numpy_type(self) -> np.dtype[Any]:
        return np.dtype(_TYPES[self.dtype][1])


class StoreWriter:
    """Appends rows to a temporary folder; `close` renames it, so that a reader never sees an incomplete store."""

    def __init__(self, folder: Path, spec: ArraySpec, *, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.spec = spec
        self.about = dict(about)
        self.part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True)
        self._rows_per_shard = max(1, SHARD_BYTES // spec.row_bytes)
        self._pending: list[Tensor] = []
        self._num_pending = 0
        self._shards: list[dict[str, int]] = []

    def append(self, rows: Tensor) -> None:
        """Add rows (N, *row); on any device, of the spec's type.

        Raises:
            UserError: fp16, whose largest number is 65,504, cannot hold what a stage gave.
        """
        rows = rows.detach().to("cpu", self.spec.torch_type).contiguous()
        if rows.dtype == torch.float16 and not bool(rows.isfinite().all()):
            raise UserError("trainer.precision: what a frozen stage gives is too large for fp16; use 32-true")
        while len(rows):
            room = self._rows_per_shard - self._num_pending
            self._pending.append(rows[:room])
            self._num_pending += len(rows[:room])
            rows = rows[room:]
            if self._num_pending == self._rows_per_shard:
                self._flush()

    def _flush(self) -> None:
        rows = torch.cat(self._pending)
        path = self.part / _shard_name(len(self._shards))
        try:
            save_file({_ROWS: rows}, path)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from error
        path.chmod(self.part.stat().st_mode & 0o666)  # safetensors makes it readable for the owner only
        checksum = zlib.crc32(rows.view(torch.uint8).numpy().data)
        self._shards.append({"rows": self._num_pending, "bytes": path.stat().st_size, "crc32": checksum})
        self._pending, self._num_pending = [], 0

    def close(self) -> None:
        """Finish the store; if another process finished the same store first, keep that one."""
        if self._num_pending:
            self._flush()
        body = {
            "about": self.about,
            "row": list(self.spec.row),
            "dtype": self.spec.dtype,
            "shards": self._shards,
            "created": time.time(),
        }
        (self.part / META_FILE).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        try:
            os.rename(self.part, self.folder)
        except OSError:  # it exists already
            shutil.rmtree(self.part, ignore_errors=True)

    def abandon(self) -> None:
        """Remove the unfinished store."""
        shutil.rmtree(self.part, ignore_errors=True)


class StoredArray:
    """Rows of a finished store, memory-mapped.

    Raises:
        CorruptStore: A file is missing or too short, or its checksum differs.
        OSError: A file cannot be read now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        body = _read_meta(folder)
        self.spec = ArraySpec(tuple(body["row"]), body["dtype"])
        self.about: dict[str, Any] = body["about"]
        shards = body["shards"]
        self._maps = [_open_shard(folder / _shard_name(i), shard, self.spec) for i, shard in enumerate(shards)]
        self._starts = np.cumsum([0, *(shard["rows"] for shard in shards)])
        with contextlib.suppress(OSError):  # a read-only folder is fine
            os.utime(folder / META_FILE)  # time of the last use; the cache removes the least recently used store first

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def num_bytes(self) -> int:
        return len(self) * self.spec.row_bytes

    def rows(self, indices: Sequence[int]) -> Tensor:
        """Rows by number: (len(indices), *row), in the stored type."""
        numbers = np.asarray(indices, dtype=np.int64)
        shard_of = np.searchsorted(self._starts, numbers, side="right") - 1
        out = np.empty((len(numbers), *self.spec.row), dtype=self.spec.numpy_type)
        for shard in np.unique(shard_of):
            here = shard_of == shard
            out[here] = self._maps[shard][numbers[here] - self._starts[shard]]
        return torch.from_numpy(out).view(self.spec.torch_type)


class CorruptStore(Exception):
    """A store that is certainly damaged; it is made again."""


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        body: dict[str, Any] = read_json(folder / META_FILE)
        values = [body["row"], body["dtype"], body["about"], body["shards"]]
        counts = [*body["row"], *(shard[key] for shard in body["shards"] for key in ("rows", "bytes", "crc32"))]
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise CorruptStore(f"{folder / META_FILE}: {error}") from error
    kinds = (list[int], str, dict[str, Any], list[dict[str, int]])
    problem = next((wrong for value, kind in zip(values, kinds, strict=True) if (wrong := misfit(value, kind))), None)
    if problem:
        raise CorruptStore(f"{folder / META_FILE}: {problem}")
    strange = not body["shards"] or len(body["row"]) > _MOST_AXES or any(count < 0 for count in counts)
    if body["dtype"] not in _TYPES or strange:
        raise CorruptStore(f"{folder / META_FILE}: a value that no store has")
    return body


def _open_shard(path: Path, shard: Mapping[str, int], spec: ArraySpec) -> np.ndarray[Any, Any]:
    try:
        num_bytes = path.stat().st_size
    except FileNotFoundError:
        num_bytes = -1
    if num_bytes != shard["bytes"]:
        raise CorruptStore(f"{path}: missing or cut short")
    start = shard["bytes"] - shard["rows"] * spec.row_bytes  # a header, then the tensor up to the end of the file
    if start < 0 or not shard["rows"]:
        raise CorruptStore(f"{path}: has not {shard['rows']} rows")
    try:
        mapped = np.memmap(path, dtype=spec.numpy_type, mode="r", offset=start, shape=(shard["rows"], *spec.row))
    except ValueError as error:  # cut short since
        raise CorruptStore(f"{path}: {error}") from error
    if zlib.crc32(mapped.data) != shard["crc32"]:
        raise CorruptStore(f"{path}: its checksum is another")
    return mapped


def _shard_name(number: int) -> str:
    return f"{number:05d}.safetensors"

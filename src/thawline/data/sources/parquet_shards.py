"""Images inside Parquet files, as Hugging Face writes them: a column of bytes or of structs, and a label."""

import importlib
import json
from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np

from thawline.data.decode import UnreadableImage
from thawline.data.sources.shard_reading import Place, opened
from thawline.data.sources.shard_rows import Rows, label_text
from thawline.errors import UserError, first_line
from thawline.printable import printable

_GROUPS_KEPT = 4  # row groups in memory; chosen: a pass in order reads each once, and Hugging Face's hold 100 images


def parquet() -> Any:
    """pyarrow's module; raises `UserError` where it is missing."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError('data.shards: reading Parquet takes a package: pip install "thawline[parquet]"') from error


def parquet_rows(place: Place, *, image: str, label: str) -> Rows:
    """The images of one file; `at` counts rows, a size is 0.

    Args:
        image, label: Names of the columns.
    Raises:
        UserError: It is no Parquet file, or is cut off, or lacks a column.
    """
    module, rows, name = parquet(), Rows(), printable(place.name)
    try:
        with opened(place) as raw:
            file = module.ParquetFile(raw)
            _check(file, name, image, label)
            names = _class_names(file, label)
            column = file.read(columns=[label]).column(label)
            for number, value in enumerate(column.to_pylist()):
                known = names and type(value) is int and 0 <= value < len(names)
                text = label_text(names[value] if known else value, f"data.shards: {name}, row {number + 1}")
                rows.add(str(number + 1), text, at=number, size=0)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"data.shards: {name} is cut off or no Parquet file ({first_line(error)}); copy or make it anew"
        ) from error
    return rows


def _check(file: Any, name: str, image: str, label: str) -> None:
    columns = list(file.schema_arrow.names)
    for key, column in (("image", image), ("label", label)):
        if column not in columns:
            raise UserError(
                f"data.shards: {name} has no column {column!r}; it has {', '.join(columns)}; name it with "
                f"data.columns.{key}=NAME"
            )


def _class_names(file: Any, label: str) -> list[str]:
    """Of a label that Hugging Face's metadata name; else none."""
    metadata = file.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (ValueError, KeyError, TypeError):
        return []


class ParquetImages:
    """Bytes of images by row; keeps the last row groups."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._lock = Lock()
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._starts: dict[str, Any] = {}  # URL -> first row of each row group, and the number of rows

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetImages, (self._column,)  # another process reads by itself

    def read(self, place: Place, row: int) -> bytes:
        """Raises `UnreadableImage` where the row holds no bytes, or the file cannot be read."""
        with self._lock:
            values, first = self._group(place, row)
        value = values[row - first].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise UnreadableImage(f"unreadable image {printable(place.name)}, row {row + 1}: it holds no bytes")
        return data

    def _group(self, place: Place, row: int) -> tuple[Any, int]:
        if place.url not in self._starts:
            self._starts[place.url] = _starts(place)
        starts = self._starts[place.url]
        number = int(np.searchsorted(starts, row, side="right")) - 1
        key = (place.url, number)
        if key not in self._groups:
            self._groups[key] = _read_group(place, number, self._column)
            while len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key], int(starts[number])


def _starts(place: Place) -> Any:
    with opened(place) as raw:
        metadata = parquet().ParquetFile(raw).metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return np.cumsum([0, *sizes])


def _read_group(place: Place, number: int, column: str) -> Any:
    with opened(place) as raw:
        return parquet().ParquetFile(raw).read_row_group(number, columns=[column]).column(column).combine_chunks()

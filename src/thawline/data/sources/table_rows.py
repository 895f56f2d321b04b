"""Reads the rows of a table of images: CSV, JSON lines or Parquet."""

import csv
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thawline.errors import UserError, named
from thawline.printable import printable
from thawline.strict_json import parse_json

COLUMNS = ("path", "label", "split", "group", "weight")
_NEEDED = ("path", "label")
_DELIMITERS = (",", ";", "\t")
KINDS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        line: Of the file, from 1; in Parquet the number of the row.
        values: Column of `COLUMNS` -> what stands there, None for nothing.
    """

    line: int
    values: Mapping[str, Any]


def read_rows(file: Path, columns: Mapping[str, str]) -> list[Row]:
    """All rows.

    Args:
        columns: Column of `COLUMNS` -> its name in the file; without `label`, none is needed.
    Raises:
        UserError: The file cannot be read, is of another kind, has no rows, or lacks a column that is needed.
    """
    kind = file.suffix.lower()
    if kind not in KINDS:
        raise UserError(f"data.file={printable(file)}: allowed are files of the kinds {' '.join(KINDS)}")
    try:
        if kind == ".parquet":
            rows = list(_parquet(file, columns))
        else:
            rows = list(_json_lines(file, columns) if kind in (".jsonl", ".ndjson") else _csv(file, columns))
    except OSError as error:
        raise UserError(f"data.file={printable(file)}: cannot be read ({error.strerror or error})") from error
    except (csv.Error, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"data.file={printable(file)}: is no {kind[1:]} table ({error})") from error
    if not rows:
        raise UserError(f"data.file={printable(file)}: has no rows")
    return rows


def _csv(file: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    # A byte that is no UTF-8 stays what it is, as in the names of files; Excel writes the mark that "-sig" takes off.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        header = lines.readline()
        delimiter = max(_DELIMITERS, key=header.count)
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        _check_columns(file, names, columns)
        reader = csv.DictReader(lines, fieldnames=names, delimiter=delimiter)
        for row in reader:
            yield Row(reader.line_num + 1, _picked(row, columns))


def _json_lines(file: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                body = parse_json(line)
                if not isinstance(body, dict):
                    raise UserError(f"data.file={printable(file)}, line {number}: write one JSON object a line")
                _check_columns(file, list(body), columns, line=number)
                yield Row(number, _picked(body, columns))


def _parquet(file: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f'data.file={printable(file)}: reading Parquet takes a package: pip install "thawline[parquet]"'
        ) from error
    opened = parquet.ParquetFile(file)
    names = list(opened.schema_arrow.names)
    _check_columns(file, names, columns)
    table = opened.read(columns=[name for name in columns.values() if name in names])
    for number, row in enumerate(table.to_pylist(), start=1):
        yield Row(number, _picked(row, columns))


def _picked(row: Mapping[Any, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    values = {column: row.get(name) for column, name in columns.items()}
    return {column: None if _is_nothing(value) else value for column, value in values.items()}


def _is_nothing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())  # NaN is not itself


def _check_columns(file: Path, names: list[str], columns: Mapping[str, str], *, line: int | None = None) -> None:
    if not any(names):
        raise UserError(f"data.file={printable(file)}: is empty; its first line names the columns, such as path,label")
    missing = [column for column in _NEEDED if column in columns and columns[column] not in names]
    if missing:
        column, place = missing[0], "" if line is None else f", line {line}"
        raise UserError(
            f"data.file={printable(file)}{place}: has no column {columns[column]!r}; it has "
            f"{named([printable(name) for name in names], most=8)}; name it with data.columns.{column}=NAME"
        )

"""JSON lines -> Parquet, a group of rows at a time; pyarrow comes with an extra."""

import importlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thawline.deploy.prediction_rows import SET, TOP, fields
from thawline.errors import UserError
from thawline.printable import printable

_GROUP = 50_000  # rows; chosen: some 10 MB in memory
_NUMBERS = ("probability", "entropy", "unknown_score")
_SURROGATES = ("\ud800", "\udfff")  # the first and the last


def check_parquet(path: Path) -> None:
    """
    Raises:
        UserError: There is no package that writes it.
    """
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f'--out {printable(path)}: writing Parquet takes a package: pip install "thawline[parquet]"'
        ) from error


def write_parquet(lines: Path, path: Path, columns: Sequence[str]) -> None:
    """Write the objects of a file, one a line, as rows to `path`."""
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    ranked = arrow.struct([("label", arrow.string()), ("probability", arrow.float64())])
    kinds = dict.fromkeys(_NUMBERS, arrow.float64()) | {SET: arrow.list_(arrow.string()), TOP: arrow.list_(ranked)}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in fields(columns)])
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(lines):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _groups(lines: Path) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    with lines.open(encoding="utf-8") as file:
        for line in file:
            group.append({name: _as_utf8(value) for name, value in json.loads(line).items()})
            if len(group) == _GROUP:
                yield group
                group = []
    if group:
        yield group


def _as_utf8(value: Any) -> Any:
    """A lone surrogate stands for a byte of a file's name that is no UTF-8; Parquet takes none."""
    if isinstance(value, list):
        return [_as_utf8(one) for one in value]
    if isinstance(value, str) and any(_SURROGATES[0] <= letter <= _SURROGATES[1] for letter in value):
        return printable(value)
    return value

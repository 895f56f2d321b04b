"""The index of a table's rows: paths checked, labels as classes, splits by their usual names."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thawline.data.sources.class_checks import check_labels
from thawline.data.sources.class_names import class_numbers
from thawline.data.sources.folder_index import Index
from thawline.data.sources.source import SPLITS, FloatArray, IntArray
from thawline.data.sources.split_names import split_of_name
from thawline.data.sources.table_rows import Row
from thawline.errors import UserError
from thawline.printable import printable

_SEPARATORS = "|;,"  # between several labels in one cell
_FEW_VALUES = 20  # chosen: more distinct numbers than this, and than half of the rows, are measurements


def index_of(rows: Sequence[Row], *, where: str, root: Path, missing_is_error: bool, to_learn: bool = True) -> Index:
    """The index of the table.

    Args:
        where: Begins every message: the setting and the file.
        root: Paths are relative to it.
        missing_is_error: Whether a row without a file is an error; else the file is left out as unreadable.
        to_learn: Whether there must be two classes; an inspection takes what is there.
    Raises:
        UserError: A row cannot be used, or the labels are no classes.
    """
    texts = [_label(row, where) for row in rows]
    _refuse_several(rows, texts, where)
    refuse_measurements(texts, where)
    paths = [_path(row, where, root, missing_is_error=missing_is_error) for row in rows]
    _refuse_repeated(rows, paths, texts, where)
    names, labels = class_numbers(np.array(texts, dtype=np.str_))
    parts = _parts(rows, where)
    groups = [row.values.get("group") for row in rows]
    if to_learn:
        check_labels(where, names, labels, parts)
    return Index(
        names,
        np.array(paths, dtype=np.str_),
        labels,
        parts,
        group_names=np.array([_text(g) for g in groups], dtype=np.str_) if any(g is not None for g in groups) else None,
        weights=_weights(rows, where),
        named_by_path=False,
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _label(row: Row, where: str) -> str:
    label = row.values["label"]
    if label is None:
        raise UserError(f"{where}, line {row.line}: has no label; give one, or remove the row")
    if isinstance(label, (list, tuple, dict)):
        raise _several(where, row.line, str(label))
    return _text(label)


def _several(where: str, line: int, label: str) -> UserError:
    return UserError(
        f"{where}, line {line}: several labels of one image ({printable(label)}) cannot be learned, only one class an "
        "image; keep one label a row, or make a table for each label"
    )


def _refuse_several(rows: Sequence[Row], texts: Sequence[str], where: str) -> None:
    """Refuse labels such as `a|b` where `a` and `b` are labels by themselves, or stand in other such labels."""
    labels = set(texts)
    for separator in _SEPARATORS:
        split = {label: {part.strip() for part in label.split(separator)} for label in labels}
        joins = separator != ","  # names such as "cat, big" and "dog, big" share a part; a bar joins labels
        holders = Counter(part for label, parts in split.items() for part in parts if joins or part == label)
        fewest = 2 if joins else 1  # of labels that hold a part; where they join, its own is one
        for row, text in zip(rows, texts, strict=True):
            parts = split[text]
            if len(parts) > 1 and all(holders[part] >= fewest for part in parts):
                raise _several(where, row.line, text)


def refuse_measurements(texts: Sequence[str], where: str) -> None:
    """Raise `UserError` where the labels are numbers to predict, not classes."""
    try:
        values = [float(text) for text in texts]
    except ValueError:
        return
    distinct = len(set(values))
    if any(value != int(value) for value in values if np.isfinite(value)) or distinct > max(
        _FEW_VALUES, len(values) // 2
    ):
        raise UserError(
            f"{where}: the labels are numbers ({texts[0]}, ...; {distinct} different ones), and predicting a number is "
            "not supported, only classes; write ranges as labels, such as low and high"
        )


def _path(row: Row, where: str, root: Path, *, missing_is_error: bool) -> str:
    text = row.values["path"]
    if text is None:
        raise UserError(f"{where}, line {row.line}: has no path; give one, or remove the row")
    full = Path(os.path.normpath(root / str(text)))
    if not os.path.exists(full) and "\\" in str(text):  # a table from Windows
        full = Path(os.path.normpath(root / str(text).replace("\\", "/")))
    if root not in full.parents:
        raise UserError(
            f"{where}, line {row.line}: {printable(text)} lies outside {printable(root)}; "
            "give data.root=DIR, a folder that holds all the images"
        )
    if missing_is_error and not os.path.isfile(full):
        raise UserError(
            f"{where}, line {row.line}: there is no file {printable(full)}; "
            "correct the path, or leave such rows out with data.on_unreadable=skip"
        )
    return full.relative_to(root).as_posix()


def _refuse_repeated(rows: Sequence[Row], paths: Sequence[str], texts: Sequence[str], where: str) -> None:
    seen: dict[str, int] = {}
    for number, path in enumerate(paths):
        first = seen.setdefault(path, number)
        if first == number:
            continue
        if texts[first] != texts[number]:
            raise _several(where, rows[number].line, f"{path}: {texts[first]}, {texts[number]}")
        raise UserError(
            f"{where}, line {rows[number].line}: {printable(path)} stands in line {rows[first].line} already; "
            "remove one of them"
        )


def _parts(rows: Sequence[Row], where: str) -> IntArray | None:
    given = [row.values.get("split") for row in rows]
    if all(value is None for value in given):
        return None
    parts = []
    for row, value in zip(rows, given, strict=True):
        if value is None:
            raise UserError(f"{where}, line {row.line}: has no split, though other rows have one; give it")
        split = split_of_name(str(value))
        if split is None:
            raise UserError(f"{where}, line {row.line}: split {printable(value)!r}; allowed are {', '.join(SPLITS)}")
        parts.append(SPLITS.index(split))
    if 0 not in parts:
        raise UserError(f"{where}: no row has the split train; name some, or leave the column out")
    return np.array(parts, dtype=np.int64)


def _weights(rows: Sequence[Row], where: str) -> FloatArray | None:
    """(N,), float64; an empty cell counts as 1, and None stands for a column without a number."""
    given = [row.values.get("weight") for row in rows]
    if all(value is None for value in given):
        return None
    return np.array([_weight(row, value, where) for row, value in zip(rows, given, strict=True)], dtype=np.float64)


def _weight(row: Row, value: Any, where: str) -> float:
    try:
        weight = 1.0 if value is None else float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(
            f"{where}, line {row.line}: weight {printable(str(value))}; allowed are numbers above 0, as 2 for an image "
            "that counts twice in training; remove a row that must not count"
        )
    return weight

"""JSON that others wrote: bounded in size, depth and numbers, and compared with the types that are expected."""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

MAX_JSON_BYTES = 64 * 1024**2  # chosen: the record of a run of 1,000 classes and 100,000 steps has 3 MB
_LARGEST = 2**63  # of a whole number: what NumPy and torch count with
_SHOWN = 40  # characters of a value in a message


def read_json(path: Path) -> Any:
    """The content of a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, has more than `MAX_JSON_BYTES`, or see `parse_json`.
    """
    return parse_json(read_bounded(path).decode("utf-8"))


def read_bounded(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It has more than `MAX_JSON_BYTES`.
    """
    with path.open("rb") as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES >> 20} MiB")
    return content


def parse_json(text: str) -> Any:
    """Values of a text.

    Raises:
        ValueError: It is no JSON, nested too deeply for Python, or holds a number that no machine number can be.

    >>> parse_json('{"a": [1, 0.5]}')
    {'a': [1, 0.5]}
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_bounded)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:_SHOWN]} is too large")
    return value


def _bounded(text: str) -> int:
    value = int(text)
    if abs(value) > _LARGEST:
        raise ValueError(f"the number {text[:_SHOWN]} is too large")
    return value


def misfit(value: Any, hint: Any, place: str = "it") -> str | None:
    """Where a value, or a dataclass's field, has not the type that `hint` says; None where all have.

    >>> misfit({"a": [1, "x"]}, dict[str, list[int]])
    "it['a'][1] is 'x', not int"
    >>> misfit([0.5, 1, None], list[float | None]) is None
    True
    """
    if hint is Any:
        return None
    if get_origin(hint) in (Union, types.UnionType):
        problems = [misfit(value, part, place) for part in get_args(hint)]
        inside = value is not None and len([part for part in get_args(hint) if part is not type(None)]) == 1
        return None if None in problems else problems[0] if inside else _mismatch(value, hint, place)
    kind = get_origin(hint) or hint
    if is_dataclass(kind):
        return _in_fields(value, kind, place)
    if kind in (list, dict, tuple, Mapping):
        return _inside(value, kind, get_args(hint), place)
    return None if _is(value, kind) else _mismatch(value, hint, place)


def _inside(value: Any, kind: Any, of: tuple[Any, ...], place: str) -> str | None:
    if not isinstance(value, dict if kind is Mapping else kind):
        return _mismatch(value, kind, place)
    if not of:
        return None
    if isinstance(value, dict):
        items = ((key, item, misfit(key, of[0], f"a key of {place}")) for key, item in value.items())
        problems = (wrong or misfit(item, of[1], f"{place}[{str(key)[:_SHOWN]!r}]") for key, item, wrong in items)
    else:
        problems = (misfit(item, of[0], f"{place}[{number}]") for number, item in enumerate(value))
    return next((problem for problem in problems if problem), None)


def _in_fields(value: Any, kind: Any, place: str) -> str | None:
    if not isinstance(value, kind):
        return _mismatch(value, kind, place)
    hints = _hints(kind)
    problems = (misfit(getattr(value, one.name), hints[one.name], one.name) for one in fields(kind))
    problem = next((one for one in problems if one), None)
    return problem if problem is None or place == "it" else f"{place}.{problem}"


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _is(value: Any, kind: Any) -> bool:
    """A whole number may stand for a float, and 3.0 for 3; a truth value is no number."""
    if kind in (int, float):
        whole = kind is float or (isinstance(value, float) and value.is_integer()) or isinstance(value, int)
        return isinstance(value, (int, float)) and not isinstance(value, bool) and whole
    return value is None if kind is type(None) else isinstance(value, kind)


def _mismatch(value: Any, hint: Any, place: str) -> str:
    name = getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)
    return f"{place} is {repr(value)[:_SHOWN]}, not {name}"

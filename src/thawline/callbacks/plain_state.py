"""Only what can be read again goes into a checkpoint: it is read without running any code that it names."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from thawline.errors import UserError

_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device})
_READ = _PLAIN | {Tensor, torch.nn.Parameter}
_CALLBACKS = "callbacks"  # key of a Lightning checkpoint: name of a callback -> its state


def refuse_unreadable(checkpoint: Mapping[str, Any]) -> None:
    """Raise `UserError` for the first object that `torch.load(weights_only=True)` would refuse, and say whose it is."""
    for key, value in checkpoint.items():
        if key != _CALLBACKS:
            _refuse(value, f"what on_save_checkpoint adds under {key!r}")
            continue
        for name, state in value.items():
            _refuse(state, f"the state_dict of {name.partition('{')[0]}")


def _refuse(value: Any, what: str) -> None:
    for place, item in unreadable(value):
        kind = f"{type(item).__module__}.{type(item).__qualname__}".removeprefix("builtins.")
        where = f" at {place}" if place else ""
        raise UserError(
            f"callbacks: {what} holds an object of type {kind}{where}, which cannot be read back from a checkpoint; "
            "give plain numbers, texts, lists, dicts and tensors"
        )


def unreadable(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(place, object) for every object in `value` that cannot be read back.

    >>> [(place, item) for place, item in unreadable({"a": [1, {2.5, "b"}], "c": len})]
    [("['c']", <built-in function len>)]
    """
    kind = type(value)
    if kind in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in _PLAIN:
                yield from unreadable(key, place)
            if type(item) not in _READ:
                yield from unreadable(item, f"{place}[{key!r}]")
    elif kind in (list, tuple, set):
        for number, item in enumerate(value):
            if type(item) not in _READ:
                yield from unreadable(item, place if kind is set else f"{place}[{number}]")
    elif kind not in _READ and not _comes_back(value):
        yield place, value


def _comes_back(value: Any) -> bool:
    """Whether torch reads it back: of rare types, and of those that the user has declared safe."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except (pickle.PicklingError, pickle.UnpicklingError, RuntimeError, TypeError, AttributeError, ValueError):
        return False
    return True

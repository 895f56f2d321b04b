"""Says where code of the user's stands that does not come back; nothing is ended, it may only be slow."""

import contextlib
import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from thawline.machine.heartbeat import beats

_log = logging.getLogger(__name__)
_SILENT_S = 60.0  # chosen: a step takes seconds on a slow CPU, and a line too many costs nothing
_LOOKS = 6  # in that time; a look takes some microseconds
_OURS = "thawline."
_KNOWN = ("lightning.", "torch.", "torchvision.", "timm.")  # their callbacks and modules are no code of the user's
_watched: dict[str, str] = {}  # in this process: key -> the user's part that it names


def users_parts(leaves: Mapping[str, Any]) -> dict[str, str]:
    """Key -> name of the code of the user's that the config names; `leaves` has dotted keys."""
    named = {key: target for key, target in leaves.items() if key.endswith("_target_") and isinstance(target, str)}
    return {key: target for key, target in named.items() if not target.startswith((_OURS, *_KNOWN))}


def users_files(parts: Mapping[str, str]) -> dict[str, str]:
    """File -> key, of the parts whose modules are imported."""
    modules = ((key, sys.modules.get(target.rpartition(".")[0])) for key, target in parts.items())
    return {file: key for key, module in modules if (file := getattr(module, "__file__", None))}


def is_ours(file: str) -> bool:
    """Whether it belongs to Thawline."""
    return Path(__file__).parents[1] in Path(file).parents


@contextlib.contextmanager
def standstill_reported(parts: Mapping[str, str]) -> Iterator[None]:
    """Inside the block one line is said of each of the user's parts in which a single call takes a minute.

    A thread looks at all others. Code that holds Python's lock in a library of C stops that thread too.
    """
    ended, before = threading.Event(), dict(_watched)
    _watched.clear()
    _watched.update(parts)
    if parts:
        _start(dict(parts), ended)
    try:
        yield
    finally:
        ended.set()
        _watched.clear()
        _watched.update(before)


def worker_init() -> Callable[[int], None] | None:
    """What a process that loads images calls at its start, to look at itself; None where nothing is watched."""
    return functools.partial(_start_in_worker, dict(_watched)) if _watched else None


def _start_in_worker(parts: Mapping[str, str], _: int) -> None:
    _start(parts, threading.Event())


def _start(parts: Mapping[str, str], ended: threading.Event) -> None:
    threading.Thread(target=_look_on, args=(parts, ended, _SILENT_S), name="standstill", daemon=True).start()


def _look_on(parts: Mapping[str, str], ended: threading.Event, silent_s: float) -> None:
    """Compare what runs now with what ran at the look before, until `ended`.

    The calls of before are held, so that another call of the same function is not taken for one of them; only where no
    step came between two looks, so that no tensor of a step outlives it.
    """
    calls: dict[FrameType, float] = {}  # since when each was seen
    last, reported = beats(), set[str]()
    while not ended.wait(silent_s / _LOOKS):
        stepped, last = beats() != last, beats()
        calls = {} if stepped else _look(calls, parts, silent_s, reported)


def _look(
    before: Mapping[FrameType, float], parts: Mapping[str, str], silent_s: float, reported: set[str]
) -> dict[FrameType, float]:
    """The calls that run now, in any thread; those that take `silent_s` are told."""
    calls, now, files = {}, time.monotonic(), users_files(parts)
    for frame in sys._current_frames().values():
        if (running := users_call(frame, files)) is not None:
            first, innermost, key = running
            calls[first] = before.get(first, now)
            if now - calls[first] >= silent_s and key not in reported:
                reported.add(key)
                _log.warning(_line(innermost, key, parts[key], now - calls[first]))
    return calls


def users_call(frame: FrameType | None, files: Mapping[str, str]) -> tuple[FrameType, FrameType, str] | None:
    """The user's code that Thawline waits for: the frame that was called first, the innermost one, the part's key.

    None where code of Thawline's runs, and in a thread that the user started.

    Args:
        frame: The innermost of a thread.
        files: File -> key.
    """
    first = innermost = None
    while frame is not None and not is_ours(frame.f_code.co_filename):
        if frame.f_code.co_filename in files:
            first, innermost = frame, innermost or frame
        frame = frame.f_back
    if frame is None or first is None or innermost is None:
        return None
    return first, innermost, files[innermost.f_code.co_filename]


def _line(frame: FrameType, key: str, target: str, seconds: float) -> str:
    where = f"{frame.f_code.co_name}, {Path(frame.f_code.co_filename).name} line {frame.f_lineno}"
    return (
        f"Note: {key}={target}: one call has taken {seconds:.0f} s so far, and stands in {where}; this is not "
        "Thawline's code. The run waits for it. Ctrl-C ends the run; its last checkpoint stays."
    )

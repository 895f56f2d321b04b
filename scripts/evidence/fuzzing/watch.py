"""Watches a parser: what it opens for writing, removes, starts or connects to, and how long it takes."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

# Event -> places of its paths among the arguments, and of the folders' descriptors that they are relative to.
_MOVES = {
    "os.rename": ((0, 2), (1, 3)), "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.mkdir": ((0, 2),),
    "os.symlink": ((1, 2),), "os.link": ((1, 3),), "os.truncate": ((0, None),), "shutil.rmtree": ((0, None),),
}  # fmt: skip
_NEVER = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_TIMERS = (signal.ITIMER_PROF, signal.ITIMER_REAL)
_WAITING = 20  # times the seconds that it may compute: on a busy machine it waits for its turn
_allowed: list[str] = []  # folder in which the parser under test may write; empty where none is under test
_hooked = False


class Escaped(BaseException):
    """The parser touched what lies outside its folder, or started something; no `except Exception` hides it."""


class TooSlow(BaseException):
    """The parser took longer than it may."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed or threading.current_thread() is not threading.main_thread():
        return
    if event in _NEVER:
        raise Escaped(f"{event} {arguments[:1]}")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        _refuse_outside(event, arguments[0], -1)
    for path, base in _MOVES.get(event, ()):
        _refuse_outside(event, arguments[path], -1 if base is None else arguments[base])


def _refuse_outside(event: str, path: Any, base: int) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    start = f"/proc/self/fd/{base}" if base >= 0 else ""
    name = os.path.join(start, os.fsdecode(path).partition("\0")[0])
    full = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))  # a link may be removed
    if full != "/dev/null" and os.path.commonpath([full, _allowed[0]]) != _allowed[0]:
        raise Escaped(f"{event} {full}")


@contextlib.contextmanager
def watched(folder: Path, *, seconds: float) -> Iterator[None]:
    """Raise where the block writes outside `folder`, starts a process, opens a connection, or takes too long.

    Args:
        seconds: That it may compute.

    Raises:
        Escaped, TooSlow: See there.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # for good: Python takes none away
        _hooked = True

    def late(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"longer than {seconds:g} s")

    before = [signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, _WAITING * seconds)
    _allowed.append(os.path.realpath(folder))
    try:
        yield
    finally:
        _allowed.pop()
        for timer, number, handler in zip(_TIMERS, (signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)

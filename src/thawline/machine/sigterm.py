"""SIGTERM ends a run in order: its record says `interrupted`, its exit code is 143, its checkpoint is complete."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Terminated(SystemExit):
    """Raised in the main thread when SIGTERM arrives."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)  # 143, as shells report it


def signal_of(stop: BaseException) -> str | None:
    """Name of the signal behind an interruption; None where a program ended itself."""
    if isinstance(stop, Terminated):
        return signal.SIGTERM.name
    return signal.SIGINT.name if isinstance(stop, KeyboardInterrupt) else None


@contextlib.contextmanager
def ended_by_sigterm(error: type[BaseException] = Terminated) -> Iterator[None]:
    """Inside the block SIGTERM raises `error`; outside the main thread it has no effect."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise error

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

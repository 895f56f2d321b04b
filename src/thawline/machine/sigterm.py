"""SIGTERM, and SIGHUP of a terminal that closes, end a run in order: `interrupted`, with a complete checkpoint."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Terminated(SystemExit):
    """Raised in the main thread when the signal arrives."""

    def __init__(self, signum: int = signal.SIGTERM) -> None:
        super().__init__(128 + signum)  # 143 or 129, as shells report it
        self.signum = signum


def signal_of(stop: BaseException) -> str | None:
    """Name of the signal behind an interruption; None where a program ended itself."""
    if isinstance(stop, Terminated):
        return signal.Signals(stop.signum).name
    return signal.SIGINT.name if isinstance(stop, KeyboardInterrupt) else None


def ending_signals() -> list[signal.Signals]:
    """SIGTERM; and SIGHUP, where there is one and nobody has chosen to outlive the terminal, as nohup does."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


@contextlib.contextmanager
def ended_by_sigterm(error: Callable[[int], BaseException] = Terminated) -> Iterator[None]:
    """Inside the block these signals raise `error` with their number; outside the main thread they have no effect."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise error(signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {one: signal.signal(one, stop) for one in ending_signals()}
    try:
        yield
    finally:
        for one, handler in previous.items():
            signal.signal(one, handler)

"""A sign of life of a job for the sweep that started it: a file whose time moves while work is done."""

import contextlib
import os
import time
from pathlib import Path

HEARTBEAT = "THAWLINE_HEARTBEAT"  # environment variable: the file
HEARTBEAT_FILE = "heartbeat"  # its name in a job's folder
_EVERY_S = 1.0  # chosen: a touch takes some microseconds, and a timeout is in minutes
_last = -_EVERY_S
_beats = 0


def beats() -> int:
    """How often this process called `beat`."""
    return _beats


def beat() -> None:
    """Count, and touch the file where a sweep waits, at most once in `_EVERY_S`. Call it where work gets further."""
    global _last, _beats
    _beats += 1
    path, now = os.environ.get(HEARTBEAT), time.monotonic()
    if path and now - _last >= _EVERY_S:
        _last = now
        with contextlib.suppress(OSError):  # on a full disk the run itself says so
            Path(path).touch()


class Pulse:
    """How long files did not change, by a clock that does not jump.

    >>> pulse = Pulse([Path("no_such_file")], now=10.0)
    >>> pulse.silent_s(now=25.0)
    15.0
    """

    def __init__(self, files: list[Path], *, now: float) -> None:
        self._files, self._since = files, now
        self._times = self._read()

    def silent_s(self, *, now: float) -> float:
        """Seconds since one of the files was seen to have changed."""
        times = self._read()
        if times != self._times:
            self._times, self._since = times, now
        return now - self._since

    def _read(self) -> list[int]:
        times = []
        for file in self._files:
            with contextlib.suppress(OSError):
                times.append(file.stat().st_mtime_ns)
        return times

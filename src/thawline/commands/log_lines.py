"""Log lines that go around a live progress bar, and into a file that may become unwritable."""

import logging
import sys
from pathlib import Path
from typing import TextIO


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stdout` is now: a live display replaces it, and prints lines above itself."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)


class LogFile(logging.FileHandler):
    """A run's `train.log`. Where it cannot be written, one line says so, and the run goes on without it."""

    def __init__(self, filename: str | Path) -> None:
        super().__init__(filename, encoding="utf-8", errors="backslashreplace")
        self._failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            print(f"warning: cannot write {self.baseFilename}: {error.strerror}", file=sys.stderr)

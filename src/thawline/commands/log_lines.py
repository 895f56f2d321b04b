"""Log lines that go around a live progress bar."""

import io
import logging
import sys
from typing import TextIO


def print_any_name() -> None:
    """Print what the terminal cannot show, such as bytes of a file's name that are no UTF-8, as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's is another kind
        sys.stdout.reconfigure(errors="backslashreplace")


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stdout` is now: a live display replaces it, and prints lines above itself."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)

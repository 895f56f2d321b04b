"""One process at a time works in a run's folder."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from thawline.errors import UserError
from thawline.machine.processes import is_main

_LOCK = ".lock"


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a lock on the run's folder, which the system releases even after SIGKILL.

    Raises:
        UserError: Another process holds it.
    """
    if sys.platform == "win32" or not is_main():
        yield
        return
    import fcntl

    path = folder / _LOCK
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"resume={folder}: another process is working in this folder; wait, or end it") from error
        yield  # the file stays: a lock on a file that is gone would be nobody's

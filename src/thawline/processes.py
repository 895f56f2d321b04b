"""Which process of a run this is; one of them owns the run's folder."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from thawline.errors import UserError

_LOCK = ".lock"


def local_rank() -> int:
    """Number of this process among those of its run; Lightning and torchrun set it in the environment."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_main() -> bool:
    return local_rank() == 0


def only_main_talks() -> None:
    """Keep the log lines of all but the first process to themselves."""
    if not is_main():
        logging.disable(logging.WARNING)


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

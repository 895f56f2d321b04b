"""Which process of a run this is; one of them owns the run's folder."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from filelock import FileLock, Timeout

from thawline.errors import UserError

_RUN_LOCK = ".lock"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # flock(2), NFS, Lustre


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
def locked(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on the file `path`, which the system releases even after SIGKILL.

    A file system without locks goes without one.

    Args:
        busy: Called where another process holds the lock. Unless it raises, that process is waited for.
    """
    lock = FileLock(path, fallback_to_soft=False)  # the soft lock is a file that outlives a killed process
    with contextlib.ExitStack() as held:
        try:
            try:
                held.enter_context(lock.acquire(timeout=0))
            except Timeout:
                busy()
                held.enter_context(lock.acquire())
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a lock on the run's folder; the main process of the run holds it for the others.

    Raises:
        UserError: Another run holds it.
    """

    def refuse() -> NoReturn:
        raise UserError(f"resume={folder}: another process is working in this folder; wait, or end it")

    with locked(folder / _RUN_LOCK, busy=refuse) if is_main() else contextlib.nullcontext():
        yield

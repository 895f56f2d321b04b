"""A lock on a file that the system releases even after SIGKILL."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # flock(2), NFS, Lustre


@contextlib.contextmanager
def locked(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on the file `path`; do nothing on a file system without locks.

    Args:
        busy: Called if another process holds the lock. If it returns, wait for that process.
    """
    lock = FileLock(path, fallback_to_soft=False)  # a soft lock would stay after the process is killed
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

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


def is_held(path: Path) -> bool | None:
    """Whether a process holds the lock on the file `path`; None where that cannot be seen."""
    if not path.is_file():
        return None
    try:
        with FileLock(path, fallback_to_soft=False).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # no permission, or no locks here
        return None


@contextlib.contextmanager
def one_at_a_time(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on the file `path`, which is made, with its folder, and removed at the end; see `locked`.

    Raises:
        OSError: The file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, busy=busy):
        try:
            yield
        finally:  # a process that waits makes a new file; Windows removes the file on release
            with contextlib.suppress(OSError):
                path.unlink()

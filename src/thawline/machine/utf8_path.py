"""A way to a folder or a file whose name is not UTF-8, for libraries that take only paths that are."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def utf8_path(folder: Path) -> Path:
    """`folder`, or, where its name is not UTF-8, Linux's path of an open folder; it stays open until the process ends.

    Other systems than Linux have no such names, or no such path; then it is `folder` too.
    """
    if not _needs_a_way(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    return _way(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


@contextlib.contextmanager
def utf8_file(path: Path) -> Iterator[Path]:
    """The same for a file that is read inside of the block.

    Raises:
        OSError: It cannot be opened.
    """
    if not _needs_a_way(path):
        yield path
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _way(descriptor)
    finally:
        os.close(descriptor)


def _needs_a_way(path: Path) -> bool:
    try:
        str(path).encode()
        return False
    except UnicodeEncodeError:
        return os.path.isdir("/proc/self/fd")


def _way(descriptor: int) -> Path:
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")

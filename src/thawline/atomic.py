"""Replace a file so that a reader sees the old one or the new one, never half of one, even after a power cut.

What is written lies beside its target, so that both are on one file system and renaming is one step.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_PART = ".part"  # ending of a file that is not complete
_FULL = {errno.ENOSPC, errno.EFBIG}
LOST = {errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT}  # what a network file system says
_WAYS_OUT = {
    **dict.fromkeys(_FULL, "make room there"),
    errno.EDQUOT: "your quota is used up: remove files of yours there, or ask for more",
    **dict.fromkeys(LOST, "the network file system lost it: mount it again"),
    errno.EIO: "the disk, or the connection to it, does not work",
}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


class CannotWrite(OSError):
    """A file could not be written; what stood there before is still complete. `filename` is the target."""


@contextlib.contextmanager
def replacing(path: Path, *, name_flushed: bool = True) -> Iterator[Path]:
    """A name beside `path` to write to; when the block ends without an error, that file becomes `path`.

    Args:
        name_flushed: Whether to wait until no power cut can bring the old file back. Old or new, it is whole.
    Raises:
        CannotWrite: The block, or what follows it, ended in an `OSError`; nothing is left behind.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART}")
    try:
        yield part
        _flush_to_disk(part)
        os.replace(part, path)
        if name_flushed:
            _flush_to_disk(path.parent)
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_atomically(path: Path, content: str | bytes, *, name_flushed: bool = True) -> None:
    """Replace `path` by a file that holds `content`; a string is written as UTF-8. `name_flushed` as in `replacing`.

    Lone surrogates, which stand for bytes of a file's name that are no UTF-8, become escapes.

    Raises:
        CannotWrite: It cannot be written; nothing is left behind.
    """
    with replacing(path, name_flushed=name_flushed) as part:
        part.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left incomplete in `folder`; nobody may be writing there."""
    for part in folder.glob(f"*{_PART}"):
        if part.is_dir() and not part.is_symlink():  # of the model's folder
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mended_by(error: OSError) -> str | None:
    """What to do about a disk that is full, over quota, broken or gone; None for any other error."""
    return _WAYS_OUT.get(error.errno or 0)


def use_of(error: OSError) -> str:
    """`write`, or `use` where it was perhaps being read: on a disk that is broken or gone.

    >>> use_of(CannotWrite(errno.EIO, "")), use_of(OSError(errno.EIO, ""))
    ('write', 'use')
    """
    return "use" if not isinstance(error, CannotWrite) and error.errno in {*LOST, errno.EIO} else "write"


def cannot_write_line(error: OSError) -> str | None:
    """One line for a file that could not be written, or whose disk is gone, and what to do; None for other errors."""
    if not isinstance(error, CannotWrite) and error.errno not in {*_WAYS_OUT, *_REFUSED}:
        return None
    verb = use_of(error)
    if verb == "use" and error.filename is None:  # a connection that timed out, for one
        return None
    refused = "choose another folder with output_dir=DIR" if error.errno in _REFUSED else "bring its folder back"
    return f"cannot {verb} {error.filename}: {error.strerror}; {mended_by(error) or refused}"


def os_error_in(error: BaseException | None) -> OSError | None:
    """The `OSError` that `error` is, or was raised because of; None if there is none."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error

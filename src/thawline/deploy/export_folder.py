"""A folder that is written whole: under another name first, and renamed when all is well."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from thawline.atomic import CannotWrite
from thawline.errors import UserError


def refuse_used(folder: Path) -> None:
    """Raise `UserError` unless `folder` is missing or empty."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "holds files" if folder.is_dir() else "is a file"
        raise UserError(f"--out {folder}: {what}; give a new folder, nothing is written over")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to; when the block ends without an error it becomes `folder`, else nothing is left.

    Raises:
        UserError: `folder` holds files.
        CannotWrite: The disk is full, or the place may not be written to.
    """
    refuse_used(folder)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        if folder.is_dir():
            folder.rmdir()
        os.rename(part, folder)
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(folder)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)

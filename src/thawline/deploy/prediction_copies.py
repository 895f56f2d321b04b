"""Sort images into a folder for each label; images are copied, never moved."""

import filecmp
import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.atomic import CannotWrite
from thawline.errors import UserError
from thawline.printable import printable

_log = logging.getLogger(__name__)
_DIGITS = 8  # of a digest in a name; 200,000 images of one name would agree in them five times


def checked_folder(folder: Path, searched: Sequence[Path], *, option: str = "--copy-to") -> Path:
    """The folder to copy to, or to write pictures to.

    Raises:
        UserError: It is a file, or lies in a folder that is searched: the next command would meet the copies.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {printable(folder)}: is a file; name a folder")
    for one in searched:
        if folder.resolve().is_relative_to(one.resolve()):
            raise UserError(
                f"{option} {printable(folder)}: lies in {printable(one)}, whose images are predicted; "
                "name a folder outside of it"
            )
    return folder


@dataclass(frozen=True)
class Copies:
    """Copies images to `folder`/LABEL.

    Attributes:
        folders: Label -> the name of its folder.
    """

    folder: Path
    folders: Mapping[str, str]

    def add(self, path: str, label: str) -> None:
        """See `copy_to`."""
        copy_to(self.folder / self.folders[label], path)


def copy_to(folder: Path, path: str) -> None:
    """Copy an image into a folder; a copy that is there already stays.

    An image that is gone since it was read is told, and has no copy.

    Raises:
        CannotWrite: The copy is not there.
    """
    if not os.path.exists(path):
        _log.warning("%s is gone since it was read: there is no copy of it.", printable(path))
        return
    target = folder / os.path.basename(path)
    if target.exists() and not filecmp.cmp(path, target, shallow=False):  # another image has this name
        digest = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:_DIGITS]
        target = target.with_name(f"{target.stem}-{digest}{target.suffix}")
    if target.exists():
        return
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, part)
        os.replace(part, target)  # not waited for until it is on the disk: that takes longer than to predict
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(target)) from error

"""Whether what --out names can be written to, before the work begins."""

import os
from pathlib import Path

from thawline.errors import UserError
from thawline.printable import printable


def check_writable(folder: Path) -> None:
    """Refuse before the images are read what could not be written afterwards."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{printable(there)}: is a file; name a folder with --out DIR")
    if not os.access(there, os.W_OK):
        raise UserError(f"{printable(there)}: may not be written to; name another folder with --out DIR")

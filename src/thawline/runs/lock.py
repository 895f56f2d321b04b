"""One process at a time works in a run's folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from thawline.errors import UserError
from thawline.machine.file_lock import locked
from thawline.machine.processes import is_main

_RUN_LOCK = ".lock"


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

"""One process at a time works in a run's folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from thawline.atomic import remove_parts
from thawline.errors import UserError
from thawline.machine.file_lock import locked
from thawline.machine.processes import is_main
from thawline.report.run_record import LOCK_FILE
from thawline.runs.resume import CHECKPOINT


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a lock on the run's folder; the main process of the run holds it for the others.

    What an earlier process was writing when it was killed is removed.

    Raises:
        UserError: Another run holds it.
    """

    def refuse() -> NoReturn:
        raise UserError(f"resume={folder}: another process is working in this folder; wait, or end it")

    if not is_main():
        yield
        return
    with locked(folder / LOCK_FILE, busy=refuse):
        for holding in (folder, folder / CHECKPOINT.parent):
            remove_parts(holding)
        yield

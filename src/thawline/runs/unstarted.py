"""A run that a user's error ended before it began leaves no folder: the message says all that there is to know."""

import contextlib
import logging
from pathlib import Path

from thawline.data.split_table import SPLITS_FILE
from thawline.machine.run_progress import PREPARING
from thawline.report.run_record import LOCK_FILE, RECORD_FILE, load_record
from thawline.runs.context import MADE
from thawline.runs.resume import CONFIG_NAME

_LOG_FILE = "train.log"  # conf/hydra/job_logging
_BEGUN_BY_EVERY_RUN = {CONFIG_NAME, LOCK_FILE, RECORD_FILE, SPLITS_FILE, _LOG_FILE}


def remove_unstarted(folder: Path) -> None:
    """Remove the folder if this process made it, and it holds nothing but what every run begins with.

    A folder that was there before stays, and so does one with any other file, or of a run that was past its
    preparations.
    """
    folder = folder.absolute()
    with contextlib.suppress(OSError):  # somebody else's at work there: what cannot be removed stays
        if folder not in MADE or not {path.name for path in folder.iterdir()} <= _BEGUN_BY_EVERY_RUN:
            return
        record = folder / RECORD_FILE
        if record.exists() and load_record(record).progress.doing != PREPARING:
            return
        _close_logs(folder)
        for path in folder.iterdir():
            path.unlink()
        for empty in (folder, *MADE.pop(folder)):
            empty.rmdir()


def _close_logs(folder: Path) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder:
            root.removeHandler(handler)
            handler.close()

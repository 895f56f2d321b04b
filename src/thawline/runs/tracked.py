"""The loggers of a run: opened when its training begins, ended when its record is complete."""

import contextlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from lightning.pytorch.loggers import Logger

from thawline import __version__
from thawline.atomic import write_atomically
from thawline.callbacks.metrics_file import MetricsFileLogger
from thawline.callbacks.tensorboard import EventFileLogger
from thawline.callbacks.trackers import LOCAL_STORE, Artifacts, MlflowTracker, Tracker, WandbTracker, warn_unreachable
from thawline.deploy.portable import MODEL_FOLDER
from thawline.machine.processes import is_main
from thawline.report.collect import Run
from thawline.report.comparison import compare
from thawline.report.page import page
from thawline.report.run_record import RECORD_FILE, RunRecord, recorded
from thawline.settings.run_settings import Settings

TRACKERS_FILE = "trackers.json"  # in a run's folder: what each tracker calls the run
_REPORTED = "test/accuracy"


class RunLogs:
    """Those of one run; empty until `open`."""

    def __init__(self) -> None:
        self.loggers: list[Logger] = []

    def open(self, settings: Settings, record: RunRecord, folder: Path, *, first_step: int | None) -> list[Logger]:
        """Make what `logger` names.

        Args:
            first_step: Where a resumed run goes on; it goes on with the same runs of its trackers.
        """
        known = {} if first_step is None else _known(folder)
        for name in settings.loggers:
            if name == "tensorboard":
                self.loggers.append(EventFileLogger(folder, first_step=first_step))
            elif name == "csv":
                self.loggers.append(MetricsFileLogger(folder, first_step=first_step))
            else:
                self._open_tracker(name, settings, record, folder, known)
        self._note(folder)
        return self.loggers

    def _open_tracker(
        self, name: str, settings: Settings, record: RunRecord, folder: Path, known: dict[str, str]
    ) -> None:
        tracked_id, store = known.get(name), Path(settings.output_dir) / LOCAL_STORE
        try:
            tracker: Tracker
            if name == "mlflow":
                tracker = MlflowTracker(folder, run_name=record.run_id, store=store, tracked_id=tracked_id)
            else:
                tracker = WandbTracker(folder, run_name=record.run_id, tracked_id=tracked_id)
        except Exception as error:  # an address that the client does not understand, for one
            warn_unreachable(name, error)
            return
        about = {"run_id": record.run_id, "scenario": record.scenario, "seed": record.seed}
        tracker.start({**record.settings, **about})
        self.loggers.append(tracker)

    def _note(self, folder: Path) -> None:
        ids = {one.tracker: one.tracked_id for one in self._trackers() if one.tracked_id is not None}
        if ids and is_main():
            write_atomically(folder / TRACKERS_FILE, json.dumps(ids, indent=2) + "\n")

    def close(self) -> None:
        """Close the event file."""
        for logger in self.loggers:
            if isinstance(logger, EventFileLogger):
                logger.close()

    def end(self, record: RunRecord, folder: Path) -> None:
        """Hand over to every tracker what the run left."""
        if not (trackers := self._trackers()) or not is_main():
            return
        model = folder / MODEL_FOLDER
        completed = record.status == "completed"
        artifacts = Artifacts(
            record.status,
            [path for path in (folder / RECORD_FILE,) if path.is_file()],
            report=(lambda: _report(record, folder)) if completed else None,
            model=model if completed and model.is_dir() else None,
        )
        for tracker in trackers:
            tracker.end(artifacts)

    def _trackers(self) -> list[Tracker]:
        return [logger for logger in self.loggers if isinstance(logger, Tracker)]


def _known(folder: Path) -> dict[str, str]:
    path = folder / TRACKERS_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _report(record: RunRecord, folder: Path) -> str:
    foot = f"thawline {__version__}, {date.today().isoformat()}, from {folder.name}"
    return page(compare([Run(folder, record)], metric=_REPORTED), [], foot=foot)


@contextlib.contextmanager
def recorded_and_tracked(record: RunRecord, folder: Path) -> Iterator[RunLogs]:
    """`recorded` in the main process; then the trackers get what the run left, however it ended."""
    logs = RunLogs()
    try:
        with recorded(record, folder) if is_main() else contextlib.nullcontext():
            yield logs
    finally:
        logs.end(record, folder)

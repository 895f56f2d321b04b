"""`logger=csv`: every logged value in one table, metrics.csv, in the run's folder."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from thawline.atomic import CannotWrite, replacing
from thawline.machine.utf8_path import utf8_path

METRICS_FILE = _ExperimentWriter.NAME_METRICS_FILE
_STEP = "step"


class MetricsFileLogger(CSVLogger):
    """Writes metrics.csv directly into the run's folder, and no hparams.yaml: config.yaml lies there.

    Args:
        first_step: First step of a resumed run; the rows before it stay, those from it on are written anew.
    """

    def __init__(self, folder: Path, *, first_step: int | None = None) -> None:
        super().__init__(utf8_path(folder), name="", version="")
        self._path = folder / METRICS_FILE
        self._kept = _rows_before(self._path, first_step or 0)

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir)
            self._experiment.metrics_keys = self._kept
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Nothing: config.yaml says them."""

    def save(self) -> None:
        with _file_named(self._path):
            super().save()

    def finalize(self, status: str) -> None:
        with contextlib.suppress(CannotWrite) if status == "failed" else contextlib.nullcontext():
            self.save()


class _Writer(ExperimentWriter):
    """Lightning's, in a folder where other files lie."""

    def _check_log_dir_exists(self) -> None:
        pass

    def save(self) -> None:
        _ExperimentWriter.save(self)


def _rows_before(path: Path, first_step: int) -> list[str]:
    """Leave only the rows of earlier steps in the file; returns its columns, none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        columns = list(reader.fieldnames or [])
        rows = [row for row in reader if row.get(_STEP, "").isdigit() and int(row[_STEP]) < first_step]
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
    return columns


@contextlib.contextmanager
def _file_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(path)) from error

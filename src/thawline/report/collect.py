"""Collect run records below folders: those that can be compared, and those that cannot, with the reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.errors import UserError
from thawline.machine.file_lock import is_held
from thawline.machine.run_progress import PREPARING
from thawline.report.run_record import LOCK_FILE, RECORD_FILE, RUNGS, RunRecord, load_record


@dataclass(frozen=True)
class Run:
    """A completed run and its folder."""

    folder: Path
    record: RunRecord
    below: Path = Path()  # the path given that it lies at or below


@dataclass(frozen=True)
class Skipped:
    """A record that is left out, and why.

    Attributes:
        path: Of run.json, complete.
        below: The path given that it lies at or below.
        before_training: Whether the run failed before its training began, as one with a wrong setting does.
    """

    path: Path
    reason: str
    below: Path = Path()
    before_training: bool = False

    @property
    def name(self) -> str:
        """The run's folder below the path given; where that is the run, its name."""
        folder, below = self.path.parent, self.below.resolve()
        inside = folder.is_relative_to(below) and folder != below
        return str(folder.relative_to(below)) if inside else folder.name


def collect(paths: Sequence[Path]) -> tuple[list[Run], list[Skipped]]:
    """Read every run.json at or below `paths`, in the order of their names.

    Raises:
        UserError: A path does not exist, or nothing below any of them is a completed run.
    """
    runs, skipped = [], []
    for path, below in _records_below(paths).items():
        try:
            record = load_record(path)
        except UserError as error:
            skipped.append(Skipped(path, str(error).removeprefix(f"{path}: "), below))
            continue
        if record.status == "completed":
            runs.append(Run(path.parent, record, below))
        else:
            early = record.status == "failed" and record.progress.doing == PREPARING
            skipped.append(Skipped(path, _not_completed(record, path.parent), below, early))
    if not runs:
        where = ", ".join(map(str, paths))
        others = f"no {RECORD_FILE} was found"
        if skipped:
            first = f"{skipped[0].path}: {skipped[0].reason}"
            others = (
                f"the only one is {first}" if len(skipped) == 1 else f"of {len(skipped)} others the first is {first}"
            )
        raise UserError(f"{where}: no completed run to compare; {others}; give a folder below which runs lie")
    return runs, skipped


def _not_completed(record: RunRecord, folder: Path) -> str:
    """How it ended, how far it was, and why; a run that says it is running may have been killed."""
    progress, status = record.progress, record.status
    seen = ""
    if status == "running":
        status = {True: "still running", False: "killed", None: "still running, or killed"}[is_held(folder / LOCK_FILE)]
        seen = f"; last seen {progress.at} on {progress.host}, process {progress.process}" if progress.at else ""
    return f"{status}{record.ended_where}{f' ({record.error})' if record.error else ''}{seen}"


def with_metric(runs: Sequence[Run], metric: str) -> tuple[list[Run], list[Skipped]]:
    """The runs with a finite value of the metric, and the others; raises `UserError` if no run has one."""
    if not any(metric in run.record.metrics for run in runs):
        present = sorted({key for run in runs for key in run.record.metrics})
        raise UserError(f"--metric {metric}: no run has it; present are {', '.join(present)}")
    having, lacking = [], []
    for run in runs:
        value = run.record.metrics.get(metric)
        if isinstance(value, (int, float)) and math.isfinite(value):
            having.append(run)
        else:
            reason = f"{metric} is no finite number" if metric in run.record.metrics else f"has no {metric}"
            lacking.append(Skipped(run.folder / RECORD_FILE, reason, run.below))
    if not having:
        raise UserError(f"--metric {metric}: no run has a finite number there")
    return having, lacking


def _records_below(paths: Sequence[Path]) -> dict[Path, Path]:
    """The records, each with the path given that it lies below."""
    records: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; give run folders, or a folder below which runs lie")
        files = [path] if path.is_file() else sorted(path.rglob(RECORD_FILE))
        for file in files:
            if not _is_of_a_rung(file, below=path):
                records.setdefault(file.resolve(), path)
    return records


def _is_of_a_rung(file: Path, *, below: Path) -> bool:
    """Whether the record is of a step of a run at or below `below`, which has a record of the best step."""
    run = file.parent.parent.parent
    inside = file.parent.parent.name == RUNGS and below.resolve() in (run.resolve(), *run.resolve().parents)
    return inside and (run / RECORD_FILE).is_file()

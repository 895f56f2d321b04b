"""run.json: one schema, written and read here only."""

import contextlib
import json
import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from thawline.atomic import CannotWrite, write_atomically
from thawline.errors import ErrorInUsersCode, UserError
from thawline.features.expected import Expected
from thawline.machine.run_cost import Cost
from thawline.machine.run_progress import PREPARING, Progress
from thawline.machine.sigterm import signal_of
from thawline.report.calibration_section import CalibrationSection
from thawline.report.inspection_section import InspectionSection
from thawline.report.record_sections import (
    SECTIONS,
    AdviceSection,
    CacheSection,
    ClassesSection,
    DataSection,
    FreezeSection,
    MachineSection,
    ModelSection,
    ParamsSection,
    StrategySection,
    is_empty,
    section_body,
    section_from,
)
from thawline.strict_json import misfit, read_json

RECORD_SCHEMA = 1
STATUSES = ("running", "completed", "failed", "interrupted")
RECORD_FILE = "run.json"
TRACEBACK_FILE = "traceback.txt"
LOCK_FILE = ".lock"  # beside it: held by the process that runs
RUNGS = "rungs"  # folder in that of a run of scenario=auto, with a folder of every run that it tried
_SHOWN = 40  # characters of a wrong value in a message
_SOMETIMES = ("advice", "expected", "calibration", "inspection", "progress")  # sections that some runs never fill


@dataclass(repr=False)
class RunRecord:
    """The content of run.json; a run fills its sections one after the other. A section may be passed as a mapping."""

    run_id: str
    scenario: str
    seed: int
    status: str = "running"
    error: str | None = None
    data: DataSection = field(default_factory=DataSection)
    inspection: InspectionSection = field(default_factory=InspectionSection)
    model: ModelSection = field(default_factory=ModelSection)
    strategy: StrategySection = field(default_factory=StrategySection)
    params: ParamsSection = field(default_factory=ParamsSection)
    best_epoch: int | None = None  # counted from 1: the epoch whose weights were tested
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[list[float | None]]] = field(default_factory=dict)  # tag -> [step, value] pairs
    classes: ClassesSection = field(default_factory=ClassesSection)
    cost: Cost = field(default_factory=Cost)
    expected: Expected = field(default_factory=Expected)
    calibration: CalibrationSection = field(default_factory=CalibrationSection)
    freeze: FreezeSection = field(default_factory=FreezeSection)
    cache: CacheSection = field(default_factory=CacheSection)
    settings: dict[str, Any] = field(default_factory=dict)  # dotted key -> value: all settings of the run
    advice: AdviceSection = field(default_factory=AdviceSection)
    versions: dict[str, str] = field(default_factory=dict)
    machine: MachineSection = field(default_factory=MachineSection)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if isinstance(mapping := getattr(self, name), dict):
                setattr(self, name, section_from(kind, mapping))

    def __repr__(self) -> str:
        """Short: the whole is run.json."""
        tested = {name: round(value, 4) for name, value in self.metrics.items() if name.startswith("test/")}
        return (
            f"RunRecord(run_id={self.run_id!r}, scenario={self.scenario!r}, status={self.status!r}, metrics={tested})"
        )

    def save(self, folder: Path, *, name_flushed: bool = True) -> Path:
        """Write `folder`/run.json; a reader sees the old file or the new one, never half of one.

        `name_flushed` as in `thawline.atomic.replacing`.
        """
        assert self.status in STATUSES, self.status
        path = folder / RECORD_FILE
        body: dict[str, Any] = {"schema": RECORD_SCHEMA}
        for f in fields(self):
            value = getattr(self, f.name)
            body[f.name] = self._section(f.name) if f.name in SECTIONS else value
        if self.error is None:
            del body["error"]
        write_atomically(path, json.dumps(_finite(body), indent=2, allow_nan=False) + "\n", name_flushed=name_flushed)
        return path

    @property
    def ended_where(self) -> str:
        """By which signal, and doing what: to follow the status; empty where it is not known."""
        by = f" by {self.progress.signal}" if self.progress.signal else ""
        return f"{by}{self.progress.where}"

    def save_progress(self, folder: Path) -> None:
        """`save`, with the time and what this process holds now. A power cut may bring the progress before back."""
        self.progress.measure()
        self.save(folder, name_flushed=False)

    def _section(self, name: str) -> dict[str, Any]:
        section = getattr(self, name)
        unreached = self.status != "completed" or name in _SOMETIMES
        return {} if unreached and is_empty(section) else section_body(section)


def _finite(value: Any) -> Any:
    """Replace NaN and infinity by null, because JSON has neither."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def recorded(record: RunRecord, folder: Path) -> Iterator[None]:
    """Write the status to run.json: `running` in the block, then `completed`, `failed` with the error, `interrupted`.

    The traceback of an error in code, ours or the user's, goes to `folder`/traceback.txt. That of an earlier process
    keeps its time in its name.
    """
    record.progress = Progress(PREPARING)
    record.save_progress(folder)
    _set_aside(folder / TRACEBACK_FILE)
    try:
        yield
        record.status, record.progress.doing = "completed", ""
    except (KeyboardInterrupt, SystemExit) as stop:
        record.status, record.progress.signal = "interrupted", signal_of(stop)
        raise
    except Exception as error:
        record.status, record.error = "failed", f"{type(error).__name__}: {error}"
        if isinstance(error, ErrorInUsersCode) or not isinstance(error, (UserError, CannotWrite)):
            with contextlib.suppress(OSError):
                write_atomically(folder / TRACEBACK_FILE, traceback.format_exc())
        raise
    finally:
        failing = record.status != "completed"  # then the first error is the one to tell, not that no record fits
        record.progress.measure()
        with contextlib.suppress(CannotWrite) if failing else contextlib.nullcontext():
            record.save(folder)


def _set_aside(path: Path) -> None:
    """`traceback.txt` -> `traceback_2026-11-27_14-20-03.txt`, UTC, so that it is not taken for what happens now."""
    with contextlib.suppress(OSError):
        written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        path.replace(path.with_stem(f"{path.stem}_{written:%Y-%m-%d_%H-%M-%S}"))


def load_record(path: Path) -> RunRecord:
    """Read a run.json.

    Raises:
        UserError: The file is missing, not JSON, of another schema, or lacks a section.
    """
    try:
        body = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable run record ({error})") from error
    if not isinstance(body, dict) or body.pop("schema", None) != RECORD_SCHEMA:
        raise UserError(f"{path}: not a run record of schema {RECORD_SCHEMA}")
    known = {f.name: f for f in fields(RunRecord)}
    mappings = [*SECTIONS, *(name for name, f in known.items() if f.default_factory is dict)]
    if wrong := [name for name in mappings if not isinstance(body.get(name, {}), dict)]:
        raise UserError(f"{path}: not a run record ({', '.join(wrong)}: a section is no mapping)")
    try:
        record = RunRecord(**{key: value for key, value in body.items() if key in known})
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: incomplete run record ({error})") from error
    record.metrics = {key: math.nan if value is None else value for key, value in record.metrics.items()}
    if problem := misfit(record, RunRecord) or _contradiction(record):
        raise UserError(f"{path}: not a run record ({problem})")
    return record


def _contradiction(record: RunRecord) -> str | None:
    """What cannot be, though each value has its type; None where all can."""
    if record.status not in STATUSES:
        return f"status is {record.status[:_SHOWN]!r}, not one of {', '.join(STATUSES)}"
    rows, num_classes = record.classes.confusion or [], len(record.classes.names)
    if record.classes.confusion is not None and [len(row) for row in rows] != [num_classes] * num_classes:
        return f"classes.confusion has not {num_classes} rows of {num_classes} numbers"
    if any(len(pair) != 2 for pairs in record.curves.values() for pair in pairs):
        return "curves holds what is no pair of a step and a value"
    return None

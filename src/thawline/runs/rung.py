"""One rung of scenario=auto: a run in a folder of its own, and what it took against what was foretold."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from thawline.callbacks.guard import FreezeBreach
from thawline.errors import first_line
from thawline.features.expected import Expected
from thawline.report.record_sections import RungEntry
from thawline.report.run_record import RECORD_FILE, RUNGS, RunRecord, load_record
from thawline.runs.composed import Composed, RunConfig
from thawline.runs.context import RunContext
from thawline.runs.one_run import run_once
from thawline.runs.publish import publish
from thawline.runs.shared import Shared
from thawline.runs.tracked import recorded_and_tracked
from thawline.runs.whose_fault import users_code_named
from thawline.settings.advise_settings import BudgetSettings
from thawline.settings.trainer_settings import TrainerSettings

SCENARIO = "auto"
_log = logging.getLogger(__name__)


@dataclass
class Climb:
    """How far it got.

    Attributes:
        record: Of the whole run.
        fixed_s: Seconds of a rung besides the pass over the images.
        seconds_of: Foretold and taken, of every rung of which both are known.
    """

    composed: Composed
    context: RunContext
    record: RunRecord
    start: float
    budget: BudgetSettings
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    shared: Shared = field(default_factory=Shared)
    fixed_s: float = 0.0
    seconds_of: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return float("inf") if self.budget.minutes is None else 60 * self.budget.minutes - self.seconds

    @property
    def slower(self) -> float:
        """Factor by which the rungs so far took longer than was foretold, at least 1: other work may go on here."""
        foretold, taken = (sum(seconds) for seconds in zip((1e-9, 0.0), *self.seconds_of, strict=True))
        return float(max(1.0, taken / foretold))

    def in_time(self, seconds: float) -> bool:
        """Whether as much time is left, where the rung takes longer than `seconds` as those before it did."""
        return self.slower * seconds <= self.left

    def refused(self, what: str, *, seconds: float, gain: float, memory_bytes: int = 0) -> str | None:
        """Why a rung is not begun; None where it may be, and a line says what it costs and what it may gain.

        Args:
            seconds: As foretold.
            gain: In accuracy, that it usually has.
        """
        budget, about, points = self.budget, self.slower * seconds, 100 * gain
        if not self.in_time(seconds):
            left = f"{max(self.left, 0):.0f} s are left"
            return f"budget.minutes={budget.minutes:g}: {what} would take {about:.0f} s, {left}"
        if budget.memory_gb is not None and memory_bytes > 1e9 * budget.memory_gb:
            return f"budget.memory_gb={budget.memory_gb:g}: {what} would need {memory_bytes / 1e9:.1f} GB"
        if points < budget.min_gain:
            return f"budget.min_gain={budget.min_gain:g}: {what} is expected to gain {points:.1f} points"
        _log.info("Next: %s, about %.0f s, expected to gain %.1f points.", what, about, points)
        return None

    def beyond(self, what: str, *, latency_s: float, num_bytes: int) -> str | None:
        """The bound that a model exceeds which takes so long for an image, and has so many bytes of weights."""
        budget = self.budget
        if budget.latency_ms is not None and 1e3 * latency_s > budget.latency_ms:
            return f"budget.latency_ms={budget.latency_ms:g}: {what} takes {1e3 * latency_s:.1f} ms"
        if budget.size_mb is not None and num_bytes > 1e6 * budget.size_mb:
            return f"budget.size_mb={budget.size_mb:g}: {what} has {num_bytes / 1e6:.1f} MB"
        return None


@contextlib.contextmanager
def noted(note: Callable[[str], None]) -> Iterator[None]:
    """Whatever goes wrong in the block is noted, in one line; only a breach of the freeze plan is a defect."""
    try:
        yield
    except FreezeBreach:
        raise
    except Exception as error:
        note(first_line(error))


@dataclass(frozen=True)
class Rung:
    """A run that is complete.

    Attributes:
        seconds: That it took, in this process or before.
        again: Whether it was read from the disk.
    """

    name: str
    folder: Path
    record: RunRecord
    seconds: float
    again: bool


def run_rung(climb: Climb, name: str, config: RunConfig, overrides: Sequence[str]) -> Rung:
    """Run it, or read what it gave before the run was cut off."""
    if (before := completed(climb, name)) is not None:
        record = load_record(before / RECORD_FILE)
        return Rung(name, before, record, record.cost.wall_s, True)
    return run_as(climb, name, config, overrides, number=len(climb.record.advice.rungs) + 1)


def run_as(climb: Climb, name: str, config: RunConfig, overrides: Sequence[str], *, number: int) -> Rung:
    """Run the rung `number`, from 1."""
    start, folder = time.perf_counter(), climb.context.folder / RUNGS / f"{number}_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord(run_id=f"{climb.record.run_id}/{folder.name}", scenario=SCENARIO, seed=climb.record.seed)
    record.versions = climb.record.versions
    climb.record.progress.doing = f"trying {name}"
    context = replace(climb.context, folder=folder, rung=number, overrides=tuple(overrides))
    with recorded_and_tracked(record, folder) as logs, users_code_named(config.leaves):
        begun = start if number > 1 else climb.start
        run_once(config, context, record, logs, start=begun, boundary=None, shared=climb.shared)
    return Rung(name, folder, record, time.perf_counter() - start, False)


def completed(climb: Climb, name: str) -> Path | None:
    """The folder of the rung, where a run that was cut off had completed it."""
    for path in sorted((climb.context.folder / RUNGS).glob("*_*")):
        named = path.name.partition("_")[2] == name and (path / RECORD_FILE).is_file()
        if named and load_record(path / RECORD_FILE).status == "completed":
            return path
    return None


def keep(climb: Climb, rung: Rung, expected: Expected) -> None:
    """Make the run's folder hold what the rung gave."""
    publish(rung.record, rung.folder, climb.record, climb.context.folder)
    climb.record.expected = expected


def note_rung(climb: Climb, rung: Rung, expected: Expected, *, kept: bool, why_not: str = "") -> None:
    """Add it to the record, and say what is known now."""
    entry = RungEntry(rung.name, expected, rung.seconds, kept)
    climb.record.advice.rungs.append(entry)
    climb.record.cost = replace(climb.record.cost, wall_s=climb.seconds)
    climb.record.save(climb.context.folder)
    _log.info("%s", rung_line(entry, climb.seconds, why_not=why_not))


def lowered(expected: Expected, by: float) -> Expected:
    """The accuracy and its interval, lower by so much."""
    accuracy, low, high = (max(value - by, 0.0) for value in (expected.accuracy, expected.low, expected.high))
    return replace(expected, accuracy=accuracy, low=low, high=high)


def rung_line(entry: RungEntry, seconds: float, *, why_not: str = "") -> str:
    """What is known after a rung, in one line."""
    expected = entry.expected
    of = f" of the {expected.new_images:,} test images" if expected.new_images else ""
    kept = "" if entry.kept else f"; not kept, {why_not}"
    return (
        f"{seconds:4.0f} s  {entry.name}: accuracy {expected.accuracy:.3f} to expect on new images "
        f"({expected.low:.3f} to {expected.high:.3f}{of}){kept}"
    )

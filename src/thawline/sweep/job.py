"""One job of a sweep: what it runs, where, and what became of it."""

import enum
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.errors import UserError
from thawline.report.run_record import RECORD_FILE, RunRecord, load_record
from thawline.runs.resume import CHECKPOINT

OUTPUT = "output.log"  # what the job printed, in its folder
_INTERRUPTED_CODES = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)  # exit codes


class Status(enum.Enum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class Job:
    """A job and its state.

    Attributes:
        overrides: All that the command line of its run holds, in Hydra's grammar.
        folder: Of the run.
        error: Why it failed, one line.
        already: Whether an earlier call of the sweep had completed it.
    """

    number: int
    overrides: list[str]
    folder: Path
    scenario: str = ""
    seed: int = 0
    status: Status = Status.WAITING
    error: str | None = None
    already: bool = False
    started: float = 0.0
    seconds: float = 0.0

    @property
    def record(self) -> RunRecord | None:
        """Its run.json, if there is one that can be read."""
        try:
            return load_record(self.folder / RECORD_FILE)
        except UserError:
            return None

    def begin(self) -> None:
        self.status, self.started = Status.RUNNING, time.monotonic()

    def end(self, code: int) -> None:
        """Settle the status from the exit code and run.json; a record that still says `running` is put right."""
        self.seconds = time.monotonic() - self.started
        record = self.record
        if code == 0 and record is not None and record.status == "completed":
            self.status = Status.COMPLETED
            return
        self.status = Status.INTERRUPTED if code in _INTERRUPTED_CODES else Status.FAILED
        if record is None:
            record = RunRecord(run_id=self.folder.name, scenario=self.scenario, seed=self.seed)
        if record.error is None and self.status is Status.FAILED:
            record.error = _cause(code, self.folder / OUTPUT)
        self.error = record.error
        if record.status in ("running", "completed"):
            record.status = self.status.value
            record.save(self.folder)

    def find_earlier(self) -> None:
        """Take over the result of an earlier call; what it left of a run that cannot go on is cleared."""
        record = self.record
        if record is not None and record.status == "completed":
            self.status, self.already = Status.COMPLETED, True
        elif self.folder.is_dir() and not self.can_go_on:
            shutil.rmtree(self.folder)

    @property
    def can_go_on(self) -> bool:
        """Whether a checkpoint of an earlier call is there."""
        return (self.folder / CHECKPOINT).is_file() and self.record is not None


def command(job: Job, *, start: Sequence[str], output_dir: str, depths: Sequence[str]) -> list[str]:
    """The command line that runs the job, or goes on with it.

    Args:
        start: How a run is started; see `Invocation.start`.
        depths: Values of `strategy.unfreeze_depth` over the sweep: one pass computes what all of them need.
    """
    if job.can_go_on:
        return [*start, f"resume={quoted(str(job.folder))}", f"output_dir={quoted(output_dir)}"]
    own = [f"hydra.run.dir={quoted(str(job.folder))}", "hydra.mode=RUN", "sweep.resume=false"]
    shared = [f"sweep.depths=[{','.join(depths)}]"] if depths else []
    return [*start, *job.overrides, *own, *shared]


def quoted(value: str) -> str:
    """A value that Hydra's grammar takes as it is."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"') if '"' in value else value
    return f'"{escaped}"'


def _cause(code: int, output: Path) -> str:
    """Of a job that could not say it itself: the signal, or its last line."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() if output.is_file() else []
    return f"exit code {code}: {lines[-1] if lines else 'no output'}"

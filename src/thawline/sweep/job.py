"""One job of a sweep: its command line, its folder and its status."""

import enum
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.errors import UserError
from thawline.machine.oom_kills import oom_kills
from thawline.machine.session_end import KILLED
from thawline.report.run_record import RECORD_FILE, RunRecord, load_record
from thawline.runs.literal import in_quotes
from thawline.runs.resume import CHECKPOINT

OUTPUT = "output.log"  # the job's output, in its folder
_INTERRUPTED_CODES = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)  # exit codes

_NO_MEMORY = (
    "while the kernel ended a process for lack of memory; try a smaller data.batch_size, data.num_workers or "
    "hydra.launcher.n_jobs"
)


class Status(enum.Enum):
    """Status of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class Job:
    """A job and its state.

    Attributes:
        overrides: Overrides on the command line of its run, in Hydra's grammar.
        folder: Folder of the run.
        error: The reason of a failure, one line.
        already: Whether an earlier call of the sweep completed it.
        record_before: Its run.json when it began; empty once it ended.
        killed_before: How many processes the kernel had ended for lack of memory when it began.
        scores: Accuracy on validation and test images, once it is completed.
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
    record_before: bytes = b""
    killed_before: int = 0
    scores: tuple[float | None, float | None] = (None, None)

    @property
    def record(self) -> RunRecord | None:
        """Its run.json; None if it is missing or cannot be read."""
        try:
            return load_record(self.folder / RECORD_FILE)
        except UserError:
            return None

    def _record_bytes(self) -> bytes:
        try:
            return (self.folder / RECORD_FILE).read_bytes()
        except OSError:
            return b""

    def begin(self) -> None:
        self.status, self.started, self.record_before = Status.RUNNING, time.monotonic(), self._record_bytes()
        self.killed_before = oom_kills()

    def end(self, code: int, *, why: str | None = None) -> None:
        """Set the status from the exit code and run.json; correct a record that contradicts it.

        Args:
            why: The reason for which the sweep ended it.
        """
        self.seconds = time.monotonic() - self.started
        record, before, self.record_before = self.record, self.record_before, b""
        if code == 0 and record is not None and record.status == "completed":
            self._complete(record)
            return
        self.status = Status.INTERRUPTED if code in _INTERRUPTED_CODES and not why else Status.FAILED
        if record is None:
            record = RunRecord(run_id=self.folder.name, scenario=self.scenario, seed=self.seed)
        of_before = bool(before) and self._record_bytes() == before  # it did not get far enough
        if why:
            record.error = why
        elif self.status is Status.FAILED and (record.error is None or of_before):
            record.error = _cause(code, self.folder / OUTPUT, killed=oom_kills() > self.killed_before)
        if code < 0:
            record.progress.signal = signal.Signals(-code).name
        where = "" if of_before else record.progress.where.strip()
        self.error = "; ".join(filter(None, (record.error, where))) or None
        if record.status in ("running", "completed") or of_before or why:
            record.status = self.status.value
            record.save(self.folder)

    def _complete(self, record: RunRecord) -> None:
        self.status = Status.COMPLETED
        self.scores = record.metrics.get("val/accuracy"), record.metrics.get("test/accuracy")

    def find_earlier(self) -> None:
        """Take over the result of an earlier call; remove the folder of a run that cannot go on."""
        record = self.record
        if record is not None and record.status == "completed":
            self.already = True
            self._complete(record)
        elif self.folder.is_dir() and not self.can_go_on:
            shutil.rmtree(self.folder)

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint of an earlier call."""
        return (self.folder / CHECKPOINT).is_file() and self.record is not None


def command(job: Job, *, start: Sequence[str], output_dir: str, depths: Sequence[str]) -> list[str]:
    """The command line that runs the job, or resumes it.

    Args:
        start: The command that starts a run; see `Invocation.start`.
        depths: Values of `strategy.unfreeze_depth` in the sweep, so that one pass computes the activations of all.
    """
    if job.can_go_on:
        if Path(output_dir).resolve() not in job.folder.resolve().parents:
            output_dir = str(job.folder.parent)  # the sweep has made the folder, so the config in it is trusted
        return [*start, f"resume={in_quotes(str(job.folder))}", f"output_dir={in_quotes(output_dir)}"]
    settings = [f"hydra.run.dir={in_quotes(str(job.folder))}", "hydra.mode=RUN", "sweep.resume=false"]
    shared = [f"sweep.depths=[{','.join(depths)}]"] if depths else []
    return [*start, *job.overrides, *settings, *shared]


def _cause(code: int, output: Path, *, killed: bool) -> str:
    """The signal that killed a job, or its exit code and last line, for a job whose record has no error."""
    if code == -KILLED and killed:
        return f"killed by SIGKILL, {_NO_MEMORY}"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() if output.is_file() else []
    return f"exit code {code}: {lines[-1] if lines else 'no output'}"

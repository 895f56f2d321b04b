"""A sweep in the terminal: a table of its jobs, updated while they run."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thawline.sweep.job import OUTPUT, Job, Status

_STYLES = {Status.RUNNING: "bold", Status.COMPLETED: "green", Status.FAILED: "red", Status.INTERRUPTED: "yellow"}
_TAIL_BYTES = 2000  # the end of a job's output that is searched for its last line
_PER_SECOND = 2
_NAME_WIDTH = 30  # characters; a longer name is cut, so that 80 columns have room for the last line


class SweepTable:
    """Shows the jobs: in a terminal as a live table, elsewhere by a line when a job begins and when it ends."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs = jobs
        self.console = console
        self._live = Live(console=console, refresh_per_second=_PER_SECOND) if console.is_terminal else None
        self._printed: dict[int, Status] = {}

    def __enter__(self) -> "SweepTable":
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.update(jobs_table(self.jobs))
            self._live.__exit__(None, None, None)

    def show(self) -> None:
        """Show the present state of the jobs."""
        if self._live:
            self._live.update(jobs_table(self.jobs))
            return
        for job in self.jobs:
            if job.status is not Status.WAITING and self._printed.get(job.number) is not job.status:
                self._printed[job.number] = job.status
                self.console.print(_line(job), highlight=False, markup=False, soft_wrap=True)


def jobs_table(jobs: Sequence[Job]) -> Table:
    """One row per job."""
    ended = sum(job.status not in (Status.WAITING, Status.RUNNING) for job in jobs)
    title = f"Sweep: {ended} of {len(jobs)} jobs ended"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, expand=True)
    table.add_column("run", no_wrap=True, max_width=_NAME_WIDTH)
    for name in ("status", "time", "val", "test"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    table.add_column("", no_wrap=True, ratio=1)  # takes the remaining width
    for job in jobs:
        line = job.error or (_last_line(job) if job.status is Status.RUNNING else "")
        cells = (job.folder.name, _status(job), _seconds(job), *_accuracies(job), line)
        table.add_row(*map(Text, cells), style=_STYLES.get(job.status, "dim"))
    return table


def _line(job: Job) -> str:
    val, test = _accuracies(job)
    scores = f", val {val}, test {test}" if val else ""
    error = f": {job.error}" if job.error else ""
    took = "" if job.status is Status.RUNNING or job.already else f" after {_seconds(job)}"
    return f"Run {job.folder.name}: {_status(job)}{took}{scores}{error}"


def _status(job: Job) -> str:
    return "completed before" if job.already else job.status.value


def _seconds(job: Job) -> str:
    if job.status is Status.WAITING or job.already:
        return ""
    seconds = time.monotonic() - job.started if job.status is Status.RUNNING else job.seconds
    return f"{seconds:.0f} s"


def _accuracies(job: Job) -> tuple[str, str]:
    record = job.record if job.status is Status.COMPLETED else None
    if record is None:
        return "", ""
    val, test = (record.metrics.get(f"{split}/accuracy") for split in ("val", "test"))
    return tuple("" if value is None else f"{value:.3f}" for value in (val, test))  # type: ignore[return-value]


def _last_line(job: Job) -> str:
    """The last line of the job's output; a carriage return of a progress bar ends a line too."""
    path = job.folder / OUTPUT
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

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
_LINES_BESIDE = 3  # of the terminal: title, heading, and the cursor's
_NEXT = 2  # jobs that wait and are shown all the same
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
            self._live.update(jobs_table(self.jobs, most=max(1, self.console.height - _LINES_BESIDE)))
            return
        for job in self.jobs:
            if job.status is not Status.WAITING and self._printed.get(job.number) is not job.status:
                self._printed[job.number] = job.status
                self.console.print(_line(job), highlight=False, markup=False, soft_wrap=True)


def jobs_table(jobs: Sequence[Job], *, most: int | None = None) -> Table:
    """One row per job; of more than `most` jobs those that run, then the last that ended, then the next."""
    ended = sum(job.status not in (Status.WAITING, Status.RUNNING) for job in jobs)
    title = f"Sweep: {ended} of {len(jobs)} jobs ended"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, expand=True)
    table.add_column("run", no_wrap=True, max_width=_NAME_WIDTH)
    for name in ("status", "time", "val", "test"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    table.add_column("", no_wrap=True, ratio=1)  # takes the remaining width
    for job in jobs if most is None else in_view(jobs, most):
        line = job.error or (_last_line(job) if job.status is Status.RUNNING else "")
        cells = (job.folder.name, _status(job), _seconds(job), *_accuracies(job), line)
        table.add_row(*map(Text, cells), style=_STYLES.get(job.status, "dim"))
    return table


def in_view(jobs: Sequence[Job], most: int) -> list[Job]:
    """At most `most` jobs in their order, the ones that somebody who looks now wants to see."""
    running = [job for job in jobs if job.status is Status.RUNNING]
    ended = [job for job in jobs if job.status not in (Status.RUNNING, Status.WAITING)]
    waiting = [job for job in jobs if job.status is Status.WAITING]
    room = max(0, most - len(running))
    after = waiting[: max(room - len(ended), min(_NEXT, room))]
    before = ended[len(ended) - max(0, min(len(ended), room - len(after))) :]
    return sorted([*before, *running[:most], *after], key=lambda job: job.number)


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
    val, test = ("" if value is None else f"{value:.3f}" for value in job.scores)
    return val, test


def _last_line(job: Job) -> str:
    """The last line of the job's output; a carriage return of a progress bar ends a line too."""
    path = job.folder / OUTPUT
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

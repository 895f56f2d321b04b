"""Commands in processes of their own, several at a time, each within a limit of time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thawline.machine.session_end import kill_all

ROOT = Path(__file__).resolve().parents[3]
_POLL_S = 0.1
_LAST_LINES = 12  # chosen: of the output of a job that failed


@dataclass
class Job:
    """One Python command, run at the root of the checkout.

    Attributes:
        arguments: What follows `python`; called when the job starts, so it may read what earlier jobs wrote.
        after: Names of jobs that have to end before this one starts.
        wanted: The exit code of a job that did what it should; a negative one is a signal.
        code: The exit code; None where the job did not run or did not end in time.
    """

    name: str
    arguments: Callable[[], Sequence[str]]
    after: tuple[str, ...] = ()
    wanted: int = 0
    limit_s: float = 150.0
    env: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    seconds: float = 0.0
    output: str = "not started: no time was left"

    @property
    def is_good(self) -> bool:
        return self.code == self.wanted

    @property
    def last_lines(self) -> str:
        return "\n".join(self.output.strip().splitlines()[-_LAST_LINES:])


def run_jobs(jobs: Sequence[Job], *, folder: Path, at_once: int, deadline: float) -> None:
    """Run every job, `at_once` at a time, in their order; what does not end before `deadline` is killed.

    Args:
        folder: Where each job's output goes.
        deadline: As `time.perf_counter` tells it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting, running = list(jobs), dict[str, tuple[Job, "subprocess.Popen[bytes]", float]]()
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, num_cores() // at_once)))
    try:
        while (waiting or running) and time.perf_counter() < deadline:
            pending = {job.name for job in waiting} | set(running)
            for job in [job for job in waiting if not pending & set(job.after)][: at_once - len(running)]:
                waiting.remove(job)
                try:
                    running[job.name] = job, _start(job, folder, threads), time.perf_counter()
                except Exception as error:  # what an earlier job should have left is not there
                    job.output = f"not started: {type(error).__name__}: {error}"
            _collect(running, folder)
            time.sleep(_POLL_S)
    finally:
        for job, process, start in running.values():
            _kill(process)
            _close(job, folder, time.perf_counter() - start, "killed: no time was left")


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(more: dict[str, str]) -> dict[str, str]:
    """This process's, with the checkout's own modules first."""
    ours = [str(ROOT / name) for name in ("src", "scripts", "scripts/evidence", "tests")]
    path = os.pathsep.join([*ours, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "COLUMNS": "120", **more}


def _start(job: Job, folder: Path, threads: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, *job.arguments()]
    with (folder / f"{job.name}.log").open("wb") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        return subprocess.Popen(
            command, cwd=ROOT, env=environment({"OMP_NUM_THREADS": threads, **job.env}), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def _collect(running: dict[str, tuple[Job, "subprocess.Popen[bytes]", float]], folder: Path) -> None:
    for name, (job, process, start) in list(running.items()):
        seconds = time.perf_counter() - start
        if (code := process.poll()) is not None:
            job.code = code
            _close(job, folder, seconds, "")
            print(f"{job.name}: {'done' if job.is_good else f'exit code {code}'} after {seconds:.0f} s", flush=True)
            del running[name]
        elif seconds > job.limit_s:
            _kill(process)
            _close(job, folder, seconds, f"killed after {job.limit_s:.0f} s")
            del running[name]


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """The job and all that it started: it leads a session of its own."""
    kill_all(process)
    process.wait()


def _close(job: Job, folder: Path, seconds: float, end: str) -> None:
    output = (folder / f"{job.name}.log").read_text(encoding="utf-8", errors="replace")
    job.seconds, job.output = seconds, f"{output}\n{end}".strip()

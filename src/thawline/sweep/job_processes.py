"""Run jobs in processes, a few at a time."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thawline.sweep.job import OUTPUT, Job, Status
from thawline.sweep.slots import job_environment, visible_gpus

_POLL_S = 0.1
_GRACE_S = 30.0  # from SIGTERM to SIGKILL; chosen: a job writes its record within seconds


@dataclass
class Running:
    """Runs jobs and holds those that are under way."""

    command: Callable[[Job], list[str]]
    n_jobs: int
    under_way: dict[int, tuple[Job, subprocess.Popen[bytes]]] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)  # number of a job under way -> which of n_jobs it is

    def run(self, jobs: Sequence[Job], *, shown: Callable[[], None]) -> None:
        """Run the jobs that wait, and call `shown` every `_POLL_S`.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the jobs under way have ended.
        """
        waiting = [job for job in jobs if job.status is Status.WAITING]
        try:
            while waiting or self.under_way:
                while waiting and len(self.under_way) < self.n_jobs:
                    self._start(waiting.pop(0))
                self._collect()
                shown()
                time.sleep(_POLL_S)
        except BaseException:
            self._end()
            raise
        finally:
            shown()

    def _start(self, job: Job) -> None:
        job.folder.mkdir(parents=True, exist_ok=True)
        command = self.command(job)
        slot = min(set(range(self.n_jobs)) - set(self.slots.values()))
        with (job.folder / OUTPUT).open("ab") as output:
            # In a new session, so that Ctrl-C reaches only this process, which then ends the jobs.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=self._environment(slot),
                start_new_session=True,
            )  # fmt: skip
        job.begin()
        self.under_way[job.number], self.slots[job.number] = (job, process), slot

    def _environment(self, slot: int) -> dict[str, str]:
        gpus = visible_gpus() if self.n_jobs > 1 else []
        return job_environment(os.environ, n_jobs=self.n_jobs, slot=slot, gpus=gpus)

    def _collect(self) -> None:
        for number, (job, process) in list(self.under_way.items()):
            code = process.poll()
            if code is not None:
                job.end(code)
                del self.under_way[number], self.slots[number]

    def _end(self) -> None:
        """Send SIGTERM to the jobs under way, and SIGKILL after `_GRACE_S`. Background jobs may ignore SIGINT."""
        for _, process in self.under_way.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while self.under_way and time.monotonic() < deadline:
            self._collect()
            time.sleep(_POLL_S)
        for _, process in self.under_way.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        self._collect()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the job and to all processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)

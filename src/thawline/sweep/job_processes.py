"""Run jobs in processes, a few at a time."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thawline.machine.heartbeat import HEARTBEAT, HEARTBEAT_FILE, Pulse
from thawline.machine.session_end import ask_to_end, kill_all
from thawline.sweep.job import OUTPUT, Job, Status
from thawline.sweep.slots import job_environment, visible_gpus

_POLL_S = 0.1
_GRACE_S = 30.0  # from SIGTERM to SIGKILL; chosen: a job writes its record within seconds
_HUNG_GRACE_S = 10.0  # the same for a job that hangs; chosen: what hears SIGTERM ends at once


@dataclass
class Running:
    """Runs jobs and holds those that are under way."""

    command: Callable[[Job], list[str]]
    n_jobs: int
    under_way: dict[int, tuple[Job, subprocess.Popen[bytes]]] = field(default_factory=dict)
    timeout_s: float | None = None  # without a sign of life, after which a job is ended; None for never
    slots: dict[int, int] = field(default_factory=dict)  # number of a job under way -> which of n_jobs it is
    pulses: dict[int, Pulse] = field(default_factory=dict)
    hung: dict[int, float] = field(default_factory=dict)  # number of a job that was told to end -> when

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
        environment = {**self._environment(slot), HEARTBEAT: str(job.folder / HEARTBEAT_FILE)}
        job.begin()  # before the process can write its record
        with (job.folder / OUTPUT).open("ab") as output:
            # In a new session, so that Ctrl-C reaches only this process, which then ends the jobs.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,
            )  # fmt: skip
        files = [job.folder / name for name in (HEARTBEAT_FILE, OUTPUT)]
        self.pulses[job.number] = Pulse(files, now=time.monotonic())
        self.under_way[job.number], self.slots[job.number] = (job, process), slot

    def _environment(self, slot: int) -> dict[str, str]:
        gpus = visible_gpus() if self.n_jobs > 1 else []
        return job_environment(os.environ, n_jobs=self.n_jobs, slot=slot, gpus=gpus)

    def _collect(self) -> None:
        for number, (job, process) in list(self.under_way.items()):
            code = process.poll()
            if code is None:
                self._end_if_it_hangs(number, process)
                continue
            job.end(code, why=self._silent_line() if number in self.hung else None)
            (job.folder / HEARTBEAT_FILE).unlink(missing_ok=True)
            self.hung.pop(number, None)
            del self.under_way[number], self.slots[number], self.pulses[number]

    def _end_if_it_hangs(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM to a job without a sign of life, so that it can record its end; SIGKILL where it hears nothing."""
        now = time.monotonic()
        if number in self.hung:
            if now - self.hung[number] > _HUNG_GRACE_S:
                kill_all(process)
        elif self.timeout_s is not None and self.pulses[number].silent_s(now=now) > self.timeout_s:
            self.hung[number] = now
            ask_to_end(process)

    def _silent_line(self) -> str:
        assert self.timeout_s is not None, "it is what a job hung by"
        return f"gave no sign of life for {self.timeout_s / 60:g} minutes and was ended (sweep.timeout)"

    def _end(self) -> None:
        """Send SIGTERM to the jobs under way, and SIGKILL after `_GRACE_S`. Background jobs may ignore SIGINT."""
        for _, process in self.under_way.values():
            ask_to_end(process)
        deadline = time.monotonic() + _GRACE_S
        while self.under_way and time.monotonic() < deadline:
            self._collect()
            time.sleep(_POLL_S)
        for _, process in self.under_way.values():
            kill_all(process)
            process.wait()
        self._collect()

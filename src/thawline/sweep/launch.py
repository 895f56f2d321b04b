"""Run a sweep: a process for each job; jobs that an earlier call completed are not run again."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from thawline.errors import LINE_PRINTED, JobsFailed, UserError
from thawline.invocation import current, typed
from thawline.machine.file_lock import locked
from thawline.machine.sigterm import ended_by_sigterm
from thawline.runs.config import sweep_settings
from thawline.runs.ranks import refuse_sweep_of_many
from thawline.sweep.job import OUTPUT, Job, Status, command
from thawline.sweep.job_processes import Running
from thawline.sweep.manifest import MANIFEST_FILE, find_same, identity, known_folders, write_manifest
from thawline.sweep.sweep_table import SweepTable

_SWEEP_LOCK = ".sweep.lock"
_OBJECTIVE = "val/accuracy"  # the result of a job for a sweeper that searches
_failed: list[Job] = []  # of this process's sweep, which a search launches in batches
_launched = 0  # jobs of it


def launch(
    job_overrides: Sequence[Sequence[str]], *, first: int, n_jobs: int, config: DictConfig, config_loader: ConfigLoader
) -> list[JobReturn]:
    """Run the jobs, `n_jobs` at a time.

    Args:
        job_overrides: One list for each job.
        first: Number of the first job.
        config: Config of the sweep.
    Raises:
        JobsFailed: All jobs of the first batch.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, when the jobs under way have ended.
    """
    if not isinstance(n_jobs, int) or n_jobs < 1:
        raise UserError(f"hydra.launcher.n_jobs={n_jobs}: allowed are whole numbers from 1")
    refuse_sweep_of_many()
    settings = sweep_settings(config)
    if config.resume is not None:
        raise UserError(f"resume={config.resume}: goes on with one run; leave out -m")
    setup_globals()
    console = Console()
    sweep = _folder(config, console, resuming=settings.resume)
    configs = [
        _composed(config, list(overrides), number, config_loader)
        for number, overrides in enumerate(job_overrides, first)
    ]
    depths = _depths(configs, job_overrides)

    def command_of(job: Job) -> list[str]:
        return command(job, start=current().start, output_dir=str(config.output_dir), depths=depths)

    sweep.mkdir(parents=True, exist_ok=True)
    with locked(sweep / _SWEEP_LOCK, busy=lambda: _refuse_second(sweep)):
        jobs = _jobs(sweep, job_overrides, configs, first=first)
        write_manifest(sweep, list(config.hydra.overrides.task), jobs)
        _run(jobs, Running(command_of, n_jobs, timeout_s=settings.timeout_s), console)
    if len(jobs) > 1:  # a search that proposes one job after the other would say it each time
        where = f"sweep    {sweep}\ncompare  {typed('compare')} {sweep}"
        console.print(where, highlight=False, markup=False, soft_wrap=True)
    return _returned(jobs, configs, first=first)


def _note_failed(failed: Sequence[Job], jobs: Sequence[Job], *, first: int) -> None:
    """Remember what failed in any batch of the sweep.

    Raises:
        JobsFailed: All jobs of the first batch; a search would propose more for nothing.
    """
    global _launched
    if first == 0:
        _failed.clear()
        if len(failed) == len(jobs):
            raise JobsFailed(_failure_line(failed, len(jobs)))
    _failed.extend(failed)
    _launched = first + len(jobs)


def tell_failed() -> None:
    """At the end of a sweep, where a search went on without some of its jobs.

    Raises:
        JobsFailed: Some did not complete.
    """
    failed = list(_failed)
    _failed.clear()
    if failed:
        raise JobsFailed(_failure_line(failed, _launched))


def _depths(configs: Sequence[DictConfig], job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """The depths of all jobs, checked, where there are several."""
    depths = sorted({str(cfg.strategy.unfreeze_depth) for cfg in configs})
    if len(depths) == 1:
        return []
    if any(depth.isdecimal() and int(depth) > 0 for depth in depths):
        from thawline.sweep.depth_check import refuse_impossible_depths  # imports torch

        refuse_impossible_depths(configs, job_overrides)
    return depths


def _refuse_second(sweep: Path) -> NoReturn:
    raise UserError(
        f"hydra.sweep.dir={sweep}: another sweep is working in this folder; wait, end it, or name another folder"
    )


def _jobs(
    sweep: Path, job_overrides: Sequence[Sequence[str]], configs: Sequence[DictConfig], *, first: int
) -> list[Job]:
    """The jobs, with what an earlier call of the sweep left of them."""
    known = known_folders(sweep)
    jobs = []
    for (number, overrides), cfg in zip(enumerate(job_overrides, first), configs, strict=True):
        folder = sweep / known.get(tuple(identity(overrides)), str(cfg.hydra.sweep.subdir))
        job = Job(number, list(overrides), folder, str(cfg.hydra.runtime.choices.scenario), cfg.seed)
        job.find_earlier()
        jobs.append(job)
    return jobs


def _run(jobs: Sequence[Job], running: Running, console: Console) -> None:
    with ended_by_sigterm(KeyboardInterrupt), SweepTable(jobs, console) as table:
        try:
            running.run(jobs, shown=table.show)
        except KeyboardInterrupt as stop:
            setattr(stop, LINE_PRINTED, True)
            print("interrupted; the same command with sweep.resume=true goes on", file=sys.stderr)
            raise


def _folder(config: DictConfig, console: Console, *, resuming: bool) -> Path:
    """Folder of the sweep: a new one, or with `sweep.resume=true` that of the same sweep's last call."""
    fresh = Path(str(config.hydra.sweep.dir)).absolute()
    if not resuming or (fresh / MANIFEST_FILE).is_file():  # a later batch of jobs of a search has a manifest already
        return fresh
    same = find_same(fresh.parent, list(config.hydra.overrides.task))
    action = f"going on with {same}" if same else f"no sweep like this one lies in {fresh.parent}; starting it"
    console.print(f"sweep.resume=true: {action}", highlight=False, markup=False, soft_wrap=True)
    if same is None:
        return fresh
    with contextlib.suppress(OSError):  # it is made already, by Hydra's sweeper with its config in it
        (fresh / "multirun.yaml").unlink(missing_ok=True)
        fresh.rmdir()
    with read_write(config):
        config.hydra.sweep.dir = str(same)  # a sweeper that searches writes its results here
    return same


def _composed(config: DictConfig, overrides: list[str], number: int, loader: ConfigLoader) -> DictConfig:
    """The job's config, for the name of its folder and to report bad input before any job runs."""
    try:
        composed = loader.load_sweep_config(config, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        error.args = (f"job {number} ({' '.join(overrides)}): {error}", *error.args[1:])
        raise
    with open_dict(composed):
        composed.hydra.job.id = str(number)
        composed.hydra.job.num = number
    return composed


def _returned(jobs: Sequence[Job], configs: Sequence[DictConfig], *, first: int) -> list[JobReturn]:
    failed = [job for job in jobs if job.status is not Status.COMPLETED]
    _note_failed(failed, jobs, first=first)
    results = []
    for job, cfg in zip(jobs, configs, strict=True):
        task = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        done = JobReturn(job.overrides, task, cfg, str(Path.cwd()), cfg.hydra.job.name)
        if job.status is Status.COMPLETED:
            record = job.record
            assert record is not None
            done.status, done.return_value = JobStatus.COMPLETED, record.metrics.get(_OBJECTIVE)
        else:
            done = _NotCompleted(done.overrides, task, cfg, done.working_dir, done.task_name, JobStatus.FAILED)
            done.return_value = JobsFailed(_failure_line(failed, len(jobs)))
        results.append(done)
    return results


class _NotCompleted(JobReturn):
    """Raises its error when the sweeper reads the result; Hydra's class would print the overrides first."""

    @property
    def return_value(self) -> Any:
        raise self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def _failure_line(failed: Sequence[Job], num_jobs: int) -> str:
    names = ", ".join(job.folder.name for job in failed)
    return (
        f"{len(failed)} of {num_jobs} jobs did not complete: {names}; see {OUTPUT} in {failed[0].folder}; "
        "the same command with sweep.resume=true runs them again"
    )

"""Hydra finds its plugins here. The launcher that runs each job of a sweep in a process of its own."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SubprocessLauncher(Launcher):
    """`hydra/launcher=subprocess`: a crash, a kill or a leak of one job does not reach the others.

    Args:
        n_jobs: Jobs at a time; the cores and GPUs are shared out among them.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and return when all have ended."""
        from thawline.sweep.launch import launch  # only for a sweep: Hydra imports this file at every start

        return launch(
            job_overrides,
            first=initial_job_idx,
            n_jobs=self.n_jobs,
            config=self.config,
            config_loader=self.hydra_context.config_loader,
        )

"""Which process of its run this is, and the cores and threads that it may use."""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from thawline.machine.cpu_quota import quota_cores

_LSF = ("LSB_JOBID", "LSB_DJOB_RANKFILE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_SHELLS = ("bash", "interactive")  # names of SLURM jobs in which the user starts the processes by hand
JOBS_AT_ONCE = "THAWLINE_JOBS_AT_ONCE"  # set for the jobs of a sweep: how many share this machine


@dataclass(frozen=True)
class Place:
    """Which process of its run this is.

    Attributes:
        launcher: What started the processes: `torchrun`, `srun`, `jsrun`, or `lightning`, which does it by itself.
        rank: Number in the run, from 0.
        local_rank: Number on its machine, from 0.
        world_size: Processes of the run, on all machines.
        here: Of these, those on this machine; None where the launcher does not say it.
    """

    launcher: str = "lightning"
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    here: int | None = None

    @property
    def outside(self) -> bool:
        """Whether the processes were there before the run began: each composes its config by itself."""
        return self.launcher != "lightning"


def this_process(environ: Mapping[str, str] = os.environ, *, devices: int = 1) -> Place:
    """Which process this is, by the environment, in the order in which Lightning looks for a launcher.

    Lightning also knows MPI, where `mpi4py` is installed; that is not read here.

    Args:
        devices: Processes on each machine, where Lightning starts them; without it only rank 0 is sure to be right.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        rank, local, size = (int(environ[key]) for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
        return Place("torchrun", rank, local, size, int(environ.get("LOCAL_WORLD_SIZE", "0")) or None)
    if "SLURM_NTASKS" in environ and environ.get("SLURM_JOB_NAME") not in _SHELLS:
        size, nodes = int(environ["SLURM_NTASKS"]), int(environ.get("SLURM_NNODES", "1"))
        rank, local = (int(environ.get(key, "0")) for key in ("SLURM_PROCID", "SLURM_LOCALID"))
        return Place("srun", rank, local, size, size // nodes if size % nodes == 0 else None)
    if all(key in environ for key in _LSF):
        rank, local, size = (int(environ[f"JSM_NAMESPACE_{key}"]) for key in ("RANK", "LOCAL_RANK", "SIZE"))
        return Place("jsrun", rank, local, size)
    node, local = int(environ.get("NODE_RANK", environ.get("GROUP_RANK", "0"))), int(environ.get("LOCAL_RANK", "0"))
    return Place("lightning", node * devices + local, local, int(environ.get("WORLD_SIZE", "1")), devices)


def jobs_at_once() -> int:
    """Jobs of a sweep that share this machine with this process, itself included."""
    return int(os.environ.get(JOBS_AT_ONCE, "1"))


def num_cores() -> int:
    """Cores that this process may use: as many as its affinity names, and its CPU quota pays for, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores()
    return cores if quota is None else min(cores, max(1, math.ceil(quota)))


def is_main() -> bool:
    """Whether this is the process that talks, writes and records for all."""
    return this_process().rank == 0


def only_main_talks() -> None:
    """Turn logging off in all processes but the first."""
    if not is_main():
        logging.disable(logging.WARNING)


def threads_in_environment(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an environment variable of OpenMP says how many threads there are."""
    return any(environ.get(name) for name in _THREADS)

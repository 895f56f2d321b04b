"""What of the machine each of a sweep's simultaneous jobs may use."""

import os
from collections.abc import Mapping, Sequence

from thawline.machine.processes import JOBS_AT_ONCE, num_cores

_GPUS = "CUDA_VISIBLE_DEVICES"
_ONE_THREAD_EACH = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def gpus_of_slot(visible: Sequence[str], *, n_jobs: int, slot: int) -> dict[str, str]:
    """The variable that shows a job its GPUs; nothing where there are not several to share out.

    Args:
        visible: Names of the GPUs, as in `CUDA_VISIBLE_DEVICES`.
        n_jobs: Jobs at a time.
        slot: Which of them, from 0. Neighbours get neighbouring GPUs; where there are too few, jobs share one.

    >>> [gpus_of_slot("0123", n_jobs=2, slot=slot) for slot in range(2)]
    [{'CUDA_VISIBLE_DEVICES': '0,1'}, {'CUDA_VISIBLE_DEVICES': '2,3'}]
    """
    if n_jobs == 1 or len(visible) < 2:
        return {}
    if n_jobs > len(visible):
        return {_GPUS: visible[slot % len(visible)]}
    first, end = (place * len(visible) // n_jobs for place in (slot, slot + 1))
    return {_GPUS: ",".join(visible[first:end])}


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs that this process sees, as in `CUDA_VISIBLE_DEVICES`."""
    if _GPUS in environ:
        return [name.strip() for name in environ[_GPUS].split(",") if name.strip() not in ("", "-1")]
    import torch  # asks the driver; no GPU is initialised

    return [str(number) for number in range(torch.cuda.device_count())]


def job_environment(
    environ: Mapping[str, str], *, n_jobs: int, slot: int, gpus: Sequence[str], cores: int | None = None
) -> dict[str, str]:
    """The environment of a job: with a share of threads, cores for data loading, and GPUs.

    Args:
        environ: That of the sweep; its numbers of threads hold.
        gpus: Those of `visible_gpus`.
        cores: That are shared out; None for all that this process may use.
    """
    if n_jobs == 1:
        return dict(environ)
    threads = str(max(1, (cores or num_cores()) // n_jobs))
    shares = {JOBS_AT_ONCE: str(n_jobs), **gpus_of_slot(gpus, n_jobs=n_jobs, slot=slot)}
    return {**dict.fromkeys(_ONE_THREAD_EACH, threads), **environ, **shares}

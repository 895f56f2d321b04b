"""The number of this process in its run, and the cores that it may use."""

import logging
import math
import os

from thawline.machine.cpu_quota import quota_cores


def local_rank() -> int:
    """Number of this process in its run, from 0; Lightning and torchrun set it in the environment."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def num_processes() -> int:
    """Number of processes of the run; torchrun and Lightning set it in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def num_cores() -> int:
    """Cores that this process may use: as many as its affinity names, and its CPU quota pays for, rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores()
    return cores if quota is None else min(cores, max(1, math.ceil(quota)))


def is_main() -> bool:
    return local_rank() == 0


def only_main_talks() -> None:
    """Turn logging off in all processes but the first."""
    if not is_main():
        logging.disable(logging.WARNING)

"""The number of this process in its run, and the cores that it may use."""

import logging
import os


def local_rank() -> int:
    """Number of this process in its run, from 0; Lightning and torchrun set it in the environment."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def num_processes() -> int:
    """Number of processes of the run; torchrun and Lightning set it in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_main() -> bool:
    return local_rank() == 0


def only_main_talks() -> None:
    """Turn logging off in all processes but the first."""
    if not is_main():
        logging.disable(logging.WARNING)

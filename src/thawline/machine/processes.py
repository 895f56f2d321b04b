"""Which process of a run this is, and the cores that it may use."""

import logging
import os


def local_rank() -> int:
    """Number of this process among those of its run; Lightning and torchrun set it in the environment."""
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
    """Keep the log lines of all but the first process to themselves."""
    if not is_main():
        logging.disable(logging.WARNING)

"""How many processes load images."""

import logging
import shutil
from pathlib import Path

from thawline.data.input_spec import InputSpec
from thawline.machine.processes import num_cores
from thawline.settings.data_settings import LoaderSettings

_log = logging.getLogger(__name__)
_MAX_WORKERS = 8  # chosen: beyond it, workers on one machine mostly wait for each other
# Chosen: where the model computes on the cores too, a worker makes it wait. On 2 cores, full fine-tuning ran at 22
# images/s without workers and 17 with two; training the head only, at 80 to 100 either way.
_CORES_PER_CPU_WORKER = 4
PREFETCH = 2  # batches that each worker holds ready; torch's default
EVAL_BATCH_FACTOR = 2  # no gradients are kept, so twice the batch needs no more memory


def choose_num_workers(loader: LoaderSettings, spec: InputSpec, *, on_cpu: bool, sharing: int) -> int:
    """What the settings say; of None one worker per core, or per several where the model computes on them too.

    Args:
        sharing: Processes that train on this machine, in this run and in the other jobs of a sweep.
    """
    cores = num_cores() // sharing
    free = cores // _CORES_PER_CPU_WORKER if on_cpu else cores
    workers = min(free, _MAX_WORKERS) if loader.num_workers is None else loader.num_workers
    in_flight = sharing * workers * (PREFETCH + 1) * loader.batch_size * EVAL_BATCH_FACTOR * 3 * spec.size**2
    shared = Path("/dev/shm")
    if workers and shared.is_dir() and shutil.disk_usage(shared).free < in_flight:
        _log.warning(
            "%s has less than the %.0f MB that %d workers need; loading images in the main process instead. "
            "In a container, raise it with --shm-size.",
            shared,
            in_flight / 1e6,
            workers,
        )
        return 0
    return workers

"""How many processes load images."""

import logging
import shutil
from pathlib import Path

from thawline.data.input_spec import InputSpec
from thawline.machine.decisions import num_workers
from thawline.machine.processes import num_cores
from thawline.settings.data_settings import LoaderSettings

_log = logging.getLogger(__name__)
PREFETCH = 2  # batches that each worker holds ready; torch's default
EVAL_BATCH_FACTOR = 2  # no gradients are kept, so twice the batch needs no more memory


def choose_num_workers(loader: LoaderSettings, spec: InputSpec, *, kind: str, sharing: int) -> int:
    """What the settings say, of None what `num_workers` decides; no more than shared memory has room for.

    Args:
        kind: Of the device that the model computes on.
        sharing: Processes that train on this machine, in this run and in the other jobs of a sweep.
    """
    wanted = num_workers(kind, num_cores() // sharing) if loader.num_workers is None else loader.num_workers
    shared = Path("/dev/shm")
    if not wanted or not shared.is_dir():
        return wanted
    of_each = sharing * (PREFETCH + 1) * loader.batch_size * EVAL_BATCH_FACTOR * 3 * spec.size**2
    fitting = min(wanted, shutil.disk_usage(shared).free // of_each)
    if fitting < wanted:
        _log.warning(
            "%s has less than the %.0f MB that %d workers need; loading images %s instead. "
            "In a container, raise it with --shm-size.",
            shared,
            wanted * of_each / 1e6,
            wanted,
            f"with {fitting}" if fitting else "in the main process",
        )
    return fitting

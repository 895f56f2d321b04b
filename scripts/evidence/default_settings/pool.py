"""Processes that take jobs from one queue until it is empty or the time is up, and write each result as it comes."""

import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from default_settings.grid import Fit, Job

# Chosen: the longest fit takes less where a GPU is there; a process that is still at work afterwards is ended.
_GRACE_S = 30.0
_CONTEXT = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Order:
    """What a process is told when it starts.

    Attributes:
        deadline: `time.time()` after which no fit is begun.
        out: File of the results, one line of JSON each.
    """

    images: Path
    carried: Path
    out: Path
    deadline: float


class Workers:
    """Processes that have started and wait for jobs."""

    def __init__(self, count: int, order: Order) -> None:
        self._order = order
        self._queue: Any = _CONTEXT.Queue()
        self._processes: list[SpawnProcess] = [
            _CONTEXT.Process(target=_work, args=(self._queue, order), daemon=True) for _ in range(count)
        ]
        for process in self._processes:
            process.start()

    def run(self, jobs: Sequence[Job]) -> None:
        """Give out the jobs in their order; wait for all of them, or for the deadline."""
        for job in jobs:
            self._queue.put(job)
        for _ in self._processes:
            self._queue.put(None)
        for process in self._processes:
            process.join(max(0.0, self._order.deadline + _GRACE_S - time.time()))
        for process in self._processes:
            if process.is_alive():
                process.kill()
        self._queue.cancel_join_thread()


def append(path: Path, result: dict[str, Any]) -> None:
    """Add one line; whole also where several processes write at once, for it is one write to a file's end."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(result) + "\n").encode())
    finally:
        os.close(handle)


def read(path: Path) -> list[dict[str, Any]]:
    """The results that are there, the failed ones included; a line that was cut off is left out."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return results


def done(results: Sequence[dict[str, Any]]) -> set[Fit]:
    keys = Fit.__dataclass_fields__
    return {Fit(**{key: result[key] for key in keys}) for result in results if "error" not in result}


def _work(queue: Any, order: Order) -> None:
    _one_thread()
    from default_settings import product_parts as product
    from default_settings.default_fits import Folders, results  # here: torch takes seconds, in every process at once

    product.keep_freed_memory()
    while (job := queue.get()) is not None:
        if _over(order):
            continue
        try:
            for result in results(job, Folders(order.images, order.carried), until=lambda: _over(order)):
                append(order.out, result)
        except Exception:
            lines = traceback.format_exc().strip().splitlines()
            append(order.out, {**asdict(job.fits[0]), "error": " | ".join(lines[-3:])})


def _over(order: Order) -> bool:
    return time.time() > order.deadline


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

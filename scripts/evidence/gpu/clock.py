"""Rates of work on a device."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_WARM_UP = 5  # calls that are not timed: algorithms are chosen, memory is taken
_BLOCKS = 5  # of calls, each timed as a whole; the median counts


@dataclass(frozen=True)
class Rate:
    """Images per second, the median of a few blocks; the least and the greatest of them."""

    images_per_s: float
    least: float
    greatest: float
    peak_bytes: int | None = None  # allocated on the GPU while it was timed


def rate(step: Callable[[], object], *, batch: int, seconds: float) -> Rate:
    """Call `step`, which takes `batch` images, for about `seconds`."""
    cuda = torch.cuda.is_available()
    gc.collect()  # models measured before must not count in the peak
    for _ in range(_WARM_UP if cuda else 1):
        step()
    once = _timed(step, 1)
    calls = max(1, round(seconds / _BLOCKS / max(once, 1e-5)))
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    rates = sorted(batch * calls / _timed(step, calls) for _ in range(_BLOCKS))
    peak = torch.cuda.max_memory_allocated() if cuda else None
    return Rate(round(statistics.median(rates), 1), round(rates[0], 1), round(rates[-1], 1), peak)


def _timed(step: Callable[[], object], calls: int) -> float:
    _wait()
    start = time.perf_counter()
    for _ in range(calls):
        step()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()

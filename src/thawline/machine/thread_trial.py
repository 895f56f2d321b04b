"""Choose the number of torch's threads by measuring: one thread against all.

Threads of one operation wait for each other. Where another process takes one of the cores, all wait for the thread on
it; one thread does not. Measured on two cores with one of them taken: 396 images/s became 17 with two threads, and
stayed near 250 with one.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from thawline.machine.processes import num_cores, threads_in_environment

_ROUNDS = 3  # chosen: timed steps of each number; the fastest of them counts
# Chosen: one thread must be this much faster than all. Where both are alike, all of them is the better guess: the
# neighbour may go.
_CLEARLY = 1.1


@dataclass
class ThreadTrial:
    """Times of steps, each with one of the candidates in turn.

    Attributes:
        candidates: Numbers of threads; the first is the one to keep where none is clearly faster.
        seconds: Number of threads -> seconds of the steps so far.
    """

    candidates: tuple[int, ...]
    seconds: dict[int, list[float]] = field(default_factory=dict)

    @property
    def next(self) -> int | None:
        """The number for the next step; None when all are measured."""
        done = {number: len(self.seconds.get(number, ())) for number in self.candidates}
        waiting = min(self.candidates, key=lambda number: done[number])
        return waiting if done[waiting] < _ROUNDS else None

    def note(self, number: int, seconds: float) -> None:
        self.seconds.setdefault(number, []).append(seconds)

    @property
    def winner(self) -> int:
        """The fastest number, if it is clearly faster than the first."""
        best = {number: min(times) for number, times in self.seconds.items()}
        first, fastest = self.candidates[0], min(best, key=lambda number: best[number])
        return fastest if best[first] > best[fastest] * _CLEARLY else first


@contextlib.contextmanager
def threads_restored() -> Iterator[None]:
    """After the block torch has as many threads as before: a notebook, or the next job of the process, expects it."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_threads() -> int:
    """Threads that torch would take, at most as many as affinity and CPU quota allow cores."""
    return min(torch.get_num_threads(), num_cores())


def candidates(threads: int | str) -> tuple[int, ...]:
    """Numbers to choose from: one where the user gives it, by the setting or by an environment variable of OpenMP.

    Args:
        threads: A number, or `auto` or `follow`.
    """
    if isinstance(threads, int):
        return (threads,)
    if threads_in_environment():
        return (torch.get_num_threads(),)
    most = usable_threads()
    return (most, 1) if most > 1 else (most,)


def fastest(
    step: Callable[[], object],
    numbers: tuple[int, ...],
    *,
    clock: Callable[[], float] = time.perf_counter,
    set_threads: Callable[[int], None] = torch.set_num_threads,
) -> int:
    """Set and return the number of threads with which `step` is fastest; it is called once more to warm up."""
    trial = ThreadTrial(numbers)
    if len(numbers) > 1:
        set_threads(numbers[0])
        step()
        while (number := trial.next) is not None:
            set_threads(number)
            start = clock()
            step()
            trial.note(number, clock() - start)
    winner = trial.winner if len(numbers) > 1 else numbers[0]
    set_threads(winner)
    return winner

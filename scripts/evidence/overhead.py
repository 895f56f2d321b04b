"""What protects a run takes how much of it: a table for docs/reliability.md.

    python scripts/evidence/overhead.py scenario=small_different strategy=partial_fine_tune trainer.max_epochs=8

The functions of the files below are timed, each without what it calls of the other parts. Of `with replacing(path)`
only the two ends count, not what is written between them. Choosing the number of threads trains too; its slower steps
are not counted. `last.ckpt` stands below the sum: every trainer that can go on with a run writes one.
"""

import argparse
import contextlib
import functools
import importlib
import inspect
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import thawline

_PARTS = {
    "files flushed and renamed": ("atomic",),
    "freeze guard": ("callbacks.guard",),
    "checksums of weights: guard, record, certificate": ("models.digests",),
    "record, progress, signs of life": (
        "machine.heartbeat", "machine.run_progress", "callbacks.note_progress", "report.run_record",
    ),
    "checkpoints that can be read back": ("callbacks.plain_state",),
    "seeds of every step": ("callbacks.seed_each_step", "data.mixed_seed"),
    "loss that is not finite": ("callbacks.stop_diverged",),
    "lock, signals, user code that hangs": (
        "runs.lock", "machine.file_lock", "machine.sigterm", "callbacks.end_by_sigterm", "machine.standstill",
    ),
    "same state in all processes": ("callbacks.same_everywhere", "callbacks.lost_process"),
}  # fmt: skip
_LAST = "`last.ckpt` itself, without flushing it"


class Clock:
    """Seconds of the main thread in each part, without those in other parts that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._parts: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def inside(self, part: str) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._turn()
        self.calls[part] += part not in self._parts[-1:]
        self._parts.append(part)
        try:
            yield
        finally:
            self._turn()
            self._parts.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def time_module(self, module: ModuleType, part: str) -> None:
        """Time its functions and methods, wherever they were imported to."""
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isgeneratorfunction(value):  # runs where it is read
                continue
            if isinstance(value, FunctionType):
                timed = self.timed(value, part)
                for other in [one for key, one in sys.modules.items() if key.startswith("thawline")]:
                    for alias in [key for key, held in vars(other).items() if held is value]:
                        setattr(other, alias, timed)
            elif inspect.isclass(value):
                for key in [key for key, held in vars(value).items() if isinstance(held, FunctionType)]:
                    if not key.startswith("__"):
                        setattr(value, key, self.timed(vars(value)[key], part))

    def timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        makes_context = inspect.isgeneratorfunction(getattr(function, "__wrapped__", None))

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.inside(part):
                result = function(*args, **kwargs)
            return _TimedEnds(self, part, result) if makes_context else result

        return call


class _TimedEnds:
    """A context whose beginning and end are timed, and not its block."""

    def __init__(self, clock: Clock, part: str, context: Any) -> None:
        self._clock, self._part, self._context = clock, part, context

    def __enter__(self) -> Any:
        with self._clock.inside(self._part):
            return self._context.__enter__()

    def __exit__(self, *error: Any) -> Any:
        with self._clock.inside(self._part):
            return self._context.__exit__(*error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", default=["scenario=small_different"])
    overrides = parser.parse_args().overrides
    thawline.train  # noqa: B018  imports everything before the clock runs
    clock = Clock()
    for part, names in _PARTS.items():
        for name in names:
            clock.time_module(importlib.import_module(f"thawline.{name}"), part)
    kept = importlib.import_module("thawline.callbacks.best_and_last").LastCheckpoint
    kept.write = clock.timed(kept.write, _LAST)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        thawline.train([*overrides, f"output_dir={folder}/out", f"cache.dir={folder}/cache"])
        whole = time.perf_counter() - start
    print("| part | calls | seconds | share |\n|---|---:|---:|---:|")
    for part in _PARTS:
        print(_row(part, clock.calls[part], clock.seconds[part], whole))
    together = sum(clock.seconds[part] for part in _PARTS)
    print(f"| together | | {together:.3f} of {whole:.1f} | {100 * together / whole:.2f} % |")
    print(_row(_LAST, clock.calls[_LAST], clock.seconds[_LAST], whole))


def _row(part: str, calls: int, seconds: float, whole: float) -> str:
    return f"| {part} | {calls:,} | {seconds:.3f} | {100 * seconds / whole:.2f} % |"


if __name__ == "__main__":
    main()

"""How far the reading of many images is: a bar in a terminal, else a line in the log every ten seconds."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ABOVE = 500  # images; chosen: fewer are read within seconds
LINE_EVERY_S = 10.0  # chosen: rare enough for a log file, often enough to see that something happens

_log = logging.getLogger(__name__)


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of images that were read since the last call."""
    if sys.stderr.isatty() and total > _ABOVE:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("reading images", total=total)
            yield lambda number: bar.advance(task, number)
    else:
        yield lines(total, every_s=LINE_EVERY_S)


def lines(total: int, *, every_s: float, clock: Callable[[], float] = time.monotonic) -> Callable[[int], None]:
    """A function like that of `progress`, which logs a line every so many seconds; none if all ends before."""
    start = last = clock()
    done = 0

    def advance(number: int) -> None:
        nonlocal done, last
        done += number
        now = clock()
        if now - last >= every_s and done < total:
            last = now
            left_s = (total - done) * (now - start) / done
            _log.info("reading images: %s of %s, about %.0f s left", f"{done:,}", f"{total:,}", left_s)

    return advance

"""How far long work has come: a bar on a terminal, elsewhere a line every ten seconds."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_BETWEEN_S = 10.0  # seconds between lines
Item = TypeVar("Item")


@contextmanager
def progress(total: int, what: str, *, above: int) -> Iterator[Callable[[int], None]]:
    """Shown on stderr if there are more than `above`; what it gives moves on by a number.

    Args:
        what: What is counted, such as "images".
    """
    if total <= above:
        yield lambda number: None
        return
    if not sys.stderr.isatty():
        yield lines(total, what)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.advance(task, number)


def counted(items: Iterable[Item], total: int, what: str, *, above: int) -> Iterator[Item]:
    """The items, one after another, with `progress`."""
    with progress(total, what, above=above) as advance:
        for item in items:
            yield item
            advance(1)


def lines(total: int, what: str) -> Callable[[int], None]:
    """Moves on by a number, and says so on stderr, such as `images: 1,024 of 50,000`."""
    done, said = 0, time.monotonic()

    def advance(number: int) -> None:
        nonlocal done, said
        done += number
        if time.monotonic() - said >= _BETWEEN_S:
            said = time.monotonic()
            print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return advance

"""How far long work has come: a bar on a terminal, elsewhere a line every ten seconds."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_BETWEEN_S = 10.0  # seconds between lines
Item = TypeVar("Item")


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(
    total: int, what: str, *, above: int, say: Callable[[str], None] = to_stderr
) -> Iterator[Callable[[int], None]]:
    """Shown if there are more than `above`; what it gives moves on by a number.

    Args:
        what: What is counted, such as "images".
        say: Where the lines go that stand for the bar where stderr is no terminal.
    """
    if total <= above:
        yield lambda number: None
        return
    if not sys.stderr.isatty():
        yield lines(total, what, say=say)
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


def lines(total: int, what: str, *, before: int = 0, say: Callable[[str], None] = to_stderr) -> Callable[[int], None]:
    """Moves on by a number, and says so, such as `images: 1,024 of 50,000, about 470 s left`; not of the last.

    Args:
        before: How many were done in an earlier command.
    """
    start = said = time.monotonic()
    done = before

    def advance(number: int) -> None:
        nonlocal done, said
        done += number
        now = time.monotonic()
        if now - said >= _BETWEEN_S and before < done < total:
            said = now
            left_s = (total - done) * (now - start) / (done - before)
            say(f"{what}: {done:,} of {total:,}, about {left_s:.0f} s left")

    return advance

"""From the arguments of `predict` to rows: the model, the pass over the images, where the rows go, what is told."""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from thawline.commands.prediction_report import FirstRows, StandardOutput, summary
from thawline.deploy.image_list import STDIN, Listed
from thawline.deploy.loaded import Model, load
from thawline.deploy.prediction_copies import checked_folder, copy_to
from thawline.deploy.prediction_files import PredictionFile, Written, checked
from thawline.deploy.prediction_pass import Wanted, predicted, with_thread_choice
from thawline.deploy.prediction_rows import Row, columns, is_kept, label_of
from thawline.machine.memory import keep_freed_memory
from thawline.machine.sigterm import Terminated
from thawline.printable import printable


class Outlet(Protocol):
    """Where rows go."""

    written: Written

    def write(self, rows: Sequence[Row], written: Written) -> None: ...


def run(given: argparse.Namespace, images: Listed) -> None:
    """Predict and tell.

    Raises:
        UserError, CannotWrite
    """
    out = checked(given.out) if given.out is not None and str(given.out) != STDIN else None
    copies = None if given.copy_to is None else checked_folder(given.copy_to, images.folders)
    keep_freed_memory()  # before torch computes; on a GPU it costs nothing
    model = load(given.run, trust=given.trust, accelerator=given.accelerator, precision=given.precision)
    top = min(given.top, len(model.class_names))
    wanted = Wanted(images.paths, top=top, batch=given.batch_size, workers=given.workers)
    with _outlet(given, out, columns(top), _depends_on(given, model, images)) as outlet:
        before, start = outlet.written.done, time.perf_counter()
        try:
            _pass(model, wanted, outlet, only_above=given.only_above, copies=copies)
        except (KeyboardInterrupt, Terminated):
            print(_interrupted(outlet, len(images.paths)), file=sys.stderr)
            raise
    seconds = time.perf_counter() - start
    lines = summary(outlet.written, images, only_above=given.only_above, before=before, seconds=seconds)
    places = [f"wrote  {printable(place)}" for place in (out, copies) if place is not None]
    print(*lines, *places, sep="\n", file=sys.stderr if isinstance(outlet, StandardOutput) else sys.stdout)


def _pass(model: Model, wanted: Wanted, outlet: Outlet, *, only_above: float | None, copies: Path | None) -> None:
    start, total = outlet.written.done, len(wanted.paths)
    batches = with_thread_choice(model, predicted(model, wanted, start=start), total - start)
    with _bar(total, start) as advance:
        for rows in batches:
            kept = [row for row in rows if is_kept(row, only_above)]
            labels = [label_of(row) for row in kept]
            if copies is not None:
                for row, label in zip(kept, labels, strict=True):
                    if label is not None:
                        copy_to(copies, str(row[0]), label)
            outlet.write(kept, outlet.written.after(labels, left_out=len(rows) - len(kept)))
            advance(len(rows))


def _depends_on(given: argparse.Namespace, model: Model, images: Listed) -> dict[str, str | float | None]:
    """What makes the rows of a file: its name in a message -> its value."""
    return {
        "model": hashlib.sha256(model.description.text().encode()).hexdigest(),
        "list of images": images.paths.digest(),
        "--top": given.top,
        "--only-above": given.only_above,
        "--copy-to": None if given.copy_to is None else printable(given.copy_to.resolve()),
    }


def _outlet(
    given: argparse.Namespace, out: Path | None, names: Sequence[str], depends_on: dict[str, str | float | None]
) -> AbstractContextManager[Outlet]:
    if out is not None:
        return PredictionFile(out, names, of=depends_on, overwrite=given.overwrite)
    return StandardOutput(names) if given.out is not None or not sys.stdout.isatty() else FirstRows()


def _interrupted(outlet: Outlet, total: int) -> str:
    done = f"interrupted after {outlet.written.done:,} of {total:,} images"
    return f"{done}; the same command, without --overwrite, goes on" if isinstance(outlet, PredictionFile) else done


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} images/s")


@contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    parts = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda count: progress.advance(task, count)

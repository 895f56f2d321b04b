"""How far `predict` is: images and heatmaps, on a terminal with their speed, elsewhere a line every ten seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from thawline.progress_bar import lines


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} {task.fields['unit']}/s")


@dataclass(frozen=True)
class Bars:
    """What to call with a number of images, or of heatmaps, that are done."""

    images: Callable[[int], None]
    heatmaps: Callable[[int], None]


@contextmanager
def bars(total: int, done: int, *, heatmaps: int) -> Iterator[Bars]:
    """Of `total` images, `done` of them before, and so many heatmaps at most."""
    console, hot = Console(stderr=True), min(heatmaps, total)
    if not console.is_terminal:
        yield Bars(lines(total, "images", before=done), lines(hot, "heatmaps"))
        return
    parts = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*parts, console=console, transient=True) as progress:
        of_images = progress.add_task("predicting", total=total, completed=done, unit="images")
        of_heatmaps = progress.add_task("heatmaps", total=hot, unit="maps", visible=bool(hot))
        yield Bars(partial(progress.advance, of_images), partial(progress.advance, of_heatmaps))

"""How far `predict` is, on a terminal: images and their speed, and heatmaps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.1f} {task.fields['unit']}/s")


@dataclass(frozen=True)
class Bars:
    """Two bars; the second only where heatmaps are made."""

    progress: Progress
    of_images: TaskID
    of_heatmaps: TaskID | None

    def images(self, number: int) -> None:
        self.progress.advance(self.of_images, number)

    def heatmap(self) -> None:
        if self.of_heatmaps is not None:
            self.progress.advance(self.of_heatmaps)


@contextmanager
def bars(total: int, done: int, *, heatmaps: int) -> Iterator[Bars]:
    """Of `total` images, `done` of them before, and so many heatmaps at most."""
    console = Console(stderr=True)
    parts = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as progress:
        of_images = progress.add_task("predicting", total=total, completed=done, unit="images")
        hot = progress.add_task("heatmaps", total=min(heatmaps, total), unit="maps") if heatmaps else None
        yield Bars(progress, of_images, hot)

"""The candidates of scenario=auto as a table."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from thawline.report.record_sections import CandidateEntry


def candidate_table(entries: Sequence[CandidateEntry]) -> Table:
    """A row for each: what is to be expected of its stacked probe, what it costs, what became of it in a word."""
    table = Table(
        title="Backbones and image sizes: log loss, ms an image",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    for name in ("pixels", "expected accuracy", "loss", "ms", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for entry in entries:
        note = Text("taken" if entry.kept else entry.note.partition(":")[0])  # the whole of it is a line above
        table.add_row(Text(entry.name), *_cells(entry), note, style="bold" if entry.kept else "dim")
    return table


def _cells(entry: CandidateEntry) -> tuple[str, ...]:
    expected = entry.expected
    accuracy = f"{expected.accuracy:.3f} ({expected.low:.3f} to {expected.high:.3f})" if expected else "-"
    numbers = ((entry.log_loss, ".3f"), (entry.latency_ms, ".1f"), (entry.size_mb, ".1f"))
    return (str(entry.image_size), accuracy, *("-" if value is None else f"{value:{form}}" for value, form in numbers))

"""What `predict` shows: rows on standard output or the first in a table, and a summary."""

import io
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thawline.amounts import images_per_second, plural
from thawline.deploy.image_list import Listed
from thawline.deploy.prediction_files import Written, csv_lines
from thawline.deploy.prediction_rows import SET, Ranked, Row, Value, as_text
from thawline.errors import named
from thawline.printable import printable
from thawline.whole_table import WholeTable

_FIRST = 20  # rows in the table
_CLASSES = 20  # in the summary


class StandardOutput:
    """Writes rows as CSV to standard output at once; UTF-8, as in a file, where it is no terminal."""

    def __init__(self, columns: Sequence[str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        self.columns = columns
        self.written = Written()

    def __enter__(self) -> "StandardOutput":
        self.write([tuple(self.columns)], self.written)
        return self

    def write(self, rows: Sequence[Row], written: Written) -> None:
        sys.stdout.write(csv_lines(rows, self.columns))
        sys.stdout.flush()
        self.written = written

    def __exit__(self, *_: object) -> None:
        pass


class FirstRows:
    """Prints the first rows as a table when all are known; counts the others."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self.written = Written()
        self.first: list[Row] = []

    def __enter__(self) -> "FirstRows":
        return self

    def write(self, rows: Sequence[Row], written: Written) -> None:
        self.first += rows[: _FIRST - len(self.first)]
        self.written = written

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            Console().print(WholeTable(_table(self.first, has_set=SET in self.columns)))


def _table(rows: Sequence[Row], *, has_set: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("path", overflow="fold", ratio=1)
    shown = [("label", "left"), ("probability", "right"), ("then", "left"), *[(SET, "left")] * has_set]
    for name, justify in shown:
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for path, label, probability, _, _, *others, error in rows:
        sets = [others.pop()] if has_set else []
        cells = [path, *_cells(label, probability, others, error), *sets]
        table.add_row(*(Text(printable(as_text(cell))) for cell in cells))
    return table


def _cells(label: Value, probability: Value, others: Sequence[Value], error: Value) -> list[Value]:
    """Label, probability, and the next class; of an unknown image the likeliest class."""
    if label is None:
        return ["", "", error]
    first = others[0] if others else ""
    if probability is None:
        return [label, "", first]
    repeated = isinstance(first, Ranked) and first.label == label  # top1
    after = others[1:] if repeated else others
    return [label, f"{probability:.3f}", after[0] if after else ""]


def summary(written: Written, images: Listed, *, only_above: float | None, before: int, seconds: float) -> list[str]:
    """Lines: how many images and how fast, of which class, and which have no answer.

    Args:
        before: Images that an interrupted command was done with.
        seconds: Of the others.
    """
    here = written.done - before
    went_on = f" ({before:,} of them before)" if before else ""
    speed = f", {images_per_second(here / max(seconds, 1e-9))}" if here else ""
    lines = [f"{plural(written.done, 'image')}{went_on}{speed}"]
    counts = Counter(written.counts).most_common()
    width = max((len(printable(name)) for name, _ in counts[:_CLASSES]), default=0)
    lines += [f"  {printable(name):{width}}  {count:,}" for name, count in counts[:_CLASSES]]
    if len(counts) > _CLASSES:
        rest = sum(count for _, count in counts[_CLASSES:])
        lines.append(f"  and {plural(len(counts) - _CLASSES, 'more class', 'more classes')}, {rest:,}")
    if written.left_out:
        lines.append(f"left out for a probability below {only_above}: {written.left_out:,}")
    if written.unreadable:
        lines.append(f"unreadable: {written.unreadable:,}; why stands in the column error")
    if images.passed_over:
        kinds = named([f"{count:,} {printable(kind)}" for kind, count in images.passed_over.most_common()])
        lines.append(f"passed over, not images by their names: {kinds}")
    return lines


def unknown_line(written: Written, threshold: float) -> str:
    """How many images may show none of the classes; scores of 0.8 look alarming, and are usual for known ones."""
    number = f"{written.far:,} of {plural(written.done - written.unreadable, 'image')}"
    return f"perhaps unknown: {number}, with an unknown_score from {threshold:.4f} on; lower ones are usual"

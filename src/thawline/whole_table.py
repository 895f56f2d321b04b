"""A table that a narrow terminal, or a narrow `COLUMNS`, neither breaks a number of nor cuts off."""

import re
from collections import Counter
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_SHOWN = re.compile(r"\w|^-$")  # in a cell that is no bar and no rule


class WholeTable:
    """Shows `table`; where a word of a column of numbers, or of one that must not wrap, is broken: a line a cell.

    Args:
        narrower: The same with fewer columns, the widest first. The first of all that breaks no word is shown.
    """

    def __init__(self, table: Table, *narrower: Table) -> None:
        self.table, self.narrower = table, narrower
        for column in (column for one in (table, *narrower) for column in one.columns):
            column.overflow = "fold"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in (self.table, *self.narrower):
            drawn = console.render_lines(table, options, pad=False)
            shown = Counter("\n".join("".join(part.text for part in line) for line in drawn).split())
            if all(shown[word] >= number for word, number in Counter(_words(table)).items()):
                yield table
                return
        yield from _row_by_row(self.table)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.table)


def _words(table: Table) -> Iterable[str]:
    for column in table.columns:
        if column.justify == "right" or column.no_wrap:
            yield from str(_text(column.header)).split()
            yield from (word for cell in column.cells for word in str(_text(cell)).split())


def _row_by_row(table: Table) -> Iterable[Text]:
    if table.title:
        yield _text(table.title)
    for number, cells in enumerate(zip(*(column.cells for column in table.columns), strict=True)):
        if number:
            yield Text()
        for column, cell in zip(table.columns, map(_text, cells), strict=True):
            if _SHOWN.search(cell.plain):
                yield Text.assemble(_label(column), cell, style=table.rows[number].style or "", overflow="fold")


def _label(column: Column) -> str:
    header = _text(column.header).plain
    return f"{header}: " if header else ""


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text.from_markup(str(cell))

"""Compare runs: which is better, by how much, at what cost."""

import argparse
import textwrap
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from thawline import __version__
from thawline.amounts import plural
from thawline.atomic import write_atomically
from thawline.commands.ending import exit_code
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.printable import printable
from thawline.report.collect import Skipped, collect, with_metric
from thawline.report.comparison import Comparison, compare
from thawline.report.comparison_table import LEGEND, csv_text, markdown, proof_line, terminal_tables
from thawline.report.page import page
from thawline.whole_table import WholeTable

_SHOWN = 5  # records left out that are named in the terminal
_LONGEST = 120  # characters of why; chosen: how far a run was, and the beginning of an error
_HELP = """Compare runs: which is better, by how much, at what cost.

    {command} outputs                                   # every completed run below it
    {command} outputs/multirun/SWEEP --baseline RUN     # differences from RUN's group, seed by seed
    {command} outputs --metric test/balanced_accuracy --html

Reads run.json files only. Runs that differ in nothing but the seed are one group; groups on the same images stand in
one table.
"""


def main() -> int:
    """Compare; returns the exit code."""
    note_start()
    given = _arguments()
    return exit_code(lambda: _compare(given))


def _compare(given: argparse.Namespace) -> None:
    _check_files(given)
    runs, skipped = collect(given.paths)
    runs, lacking = with_metric(runs, given.metric)
    comparisons = compare(runs, metric=given.metric, baseline=given.baseline)
    _write(comparisons, [*skipped, *lacking], given)


def _check_files(given: argparse.Namespace) -> None:
    """`--html PATH` takes the path for the file's: say so before anything is read."""
    for name in ("html", "csv", "markdown"):
        path = getattr(given, name)
        if path is not None and path.is_dir():
            raise UserError(f"--{name} {path}: is a folder; put the PATHs first, or name the file to write")


def _write(comparisons: list[Comparison], skipped: list[Skipped], given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    for comparison in comparisons:
        table = WholeTable(*terminal_tables(comparison))
        console.print(f"[bold]{escape(comparison.data)}[/]", table, "", sep="\n")
    said = [LEGEND, proof_line(comparisons), *left_out_lines(skipped, every=given.all)]
    console.print("\n".join(said), markup=False, soft_wrap=True)
    foot = f"thawline {__version__}, {date.today().isoformat()}, from {', '.join(map(str, given.paths))}"
    makers: list[tuple[Path | None, Callable[[], str]]] = [
        (given.html, lambda: page(comparisons, skipped, foot=foot)),
        (given.csv, lambda: csv_text(comparisons)),
        (given.markdown, lambda: markdown(comparisons)),
    ]
    for path, made in makers:
        if path is not None:
            write_atomically(path, made())
            console.print(f"wrote  {path}", markup=False, soft_wrap=True)


def left_out_lines(skipped: Sequence[Skipped], *, every: bool) -> list[str]:
    """What is left out and why: a line for those that failed before training, one each for a few of the others.

    Args:
        every: A line for each, whole.
    """
    early = [] if every else [one for one in skipped if one.before_training]
    named = [one for one in skipped if every or not one.before_training]
    lines = [f"  {printable(one.name)}: {one.reason if every else _short(one.reason)}" for one in named]
    lines = lines if every else lines[:_SHOWN]
    if len(named) > len(lines):
        lines.append(f"  and {len(named) - len(lines)} more; --all names them")
    said = [f"left out: {len(named)}", *lines] if named else []
    if early:
        said.append(f"left out: {plural(len(early), 'run')} that failed before training began; --all names each")
    return said


def _short(reason: str) -> str:
    return textwrap.shorten(reason, _LONGEST, placeholder=" ...")


def _arguments() -> argparse.Namespace:
    parser = plain_parser("compare", _HELP)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders below which runs lie")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="folder of a run: its group is compared with")
    parser.add_argument("--metric", default="test/accuracy", help="a key of run.json's metrics; default %(default)s")
    parser.add_argument("--all", action="store_true", help="name every run that is left out, and the whole reason")
    for kind in ("html", "csv", "markdown"):
        name = f"report.{'md' if kind == 'markdown' else kind}"
        parser.add_argument(f"--{kind}", nargs="?", type=Path, const=Path(name), metavar="FILE", help=f"write {name}")
    return parser.parse_args()

"""Compare runs: which is better, by how much, at what cost."""

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from thawline import __version__
from thawline.atomic import write_atomically
from thawline.commands.plain_end import exit_code
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.invocation import typed
from thawline.report.collect import Skipped, collect, with_metric
from thawline.report.comparison import Comparison, compare
from thawline.report.comparison_table import LEGEND, csv_text, markdown, proof_line, terminal_table
from thawline.report.page import page
from thawline.whole_table import WholeTable

_SHOWN = 5  # records left out that are named in the terminal
_HELP = """Compare runs: which is better, by how much, at what cost.

    {compare} outputs                                   # every completed run below it
    {compare} outputs/multirun/SWEEP --baseline RUN     # differences from RUN's group, seed by seed
    {compare} outputs --metric test/balanced_accuracy --html

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
    found = compare(runs, metric=given.metric, baseline=given.baseline)
    _write(found, [*skipped, *lacking], given)


def _check_files(given: argparse.Namespace) -> None:
    """`--html PATH` takes the path for the file's: say so before anything is read."""
    for name in ("html", "csv", "markdown"):
        path = getattr(given, name)
        if path is not None and path.is_dir():
            raise UserError(f"--{name} {path}: is a folder; put the PATHs first, or name the file to write")


def _write(found: list[Comparison], skipped: list[Skipped], given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    for comparison in found:
        console.print(f"[bold]{escape(comparison.data)}[/]", WholeTable(terminal_table(comparison)), "", sep="\n")
    said = [LEGEND, proof_line(found)]
    if skipped:
        named = [f"  {one.path}: {one.reason}" for one in skipped[:_SHOWN]]
        more = [f"  and {len(skipped) - _SHOWN} more"] if len(skipped) > _SHOWN else []
        said += [f"left out: {len(skipped)}", *named, *more]
    console.print("\n".join(said), markup=False, soft_wrap=True)
    foot = f"thawline {__version__}, {date.today().isoformat()}, from {', '.join(map(str, given.paths))}"
    makers: list[tuple[Path | None, Callable[[], str]]] = [
        (given.html, lambda: page(found, skipped, foot=foot)),
        (given.csv, lambda: csv_text(found)),
        (given.markdown, lambda: markdown(found)),
    ]
    for path, made in makers:
        if path is not None:
            write_atomically(path, made())
            console.print(f"wrote  {path}", markup=False, soft_wrap=True)


def _arguments() -> argparse.Namespace:
    compare = typed("compare")
    parser = argparse.ArgumentParser(
        prog=compare, description=_HELP.format(compare=compare), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders below which runs lie")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="folder of a run: its group is compared with")
    parser.add_argument("--metric", default="test/accuracy", help="a key of run.json's metrics; default %(default)s")
    for kind in ("html", "csv", "markdown"):
        name = f"report.{'md' if kind == 'markdown' else kind}"
        parser.add_argument(f"--{kind}", nargs="?", type=Path, const=Path(name), metavar="FILE", help=f"write {name}")
    return parser.parse_args()

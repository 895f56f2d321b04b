"""List, or clear, what is kept for later runs: activations of frozen stages, and what reading images showed."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thawline.amounts import plural
from thawline.commands.ending import exit_code
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.features.feature_cache import Entry, FeatureCache
from thawline.invocation import typed
from thawline.printable import printable
from thawline.settings.cache_settings import resolved_dir
from thawline.whole_table import WholeTable

_SHOWN = 20  # stores; chosen: with the two other lines they fit a terminal
_HELP = """List, or clear, what is kept for later runs: what frozen stages gave, and what reading images showed.

    {command}                    # what is there: the total, and the 20 largest
    {command} --all              # every store
    {command} --clear            # remove everything
    {command} --clear 1f3a9c     # remove the stores whose names begin so
"""


def main() -> int:
    """List or clear; 2 where a name fits nothing."""
    note_start()
    arguments = _arguments()
    return exit_code(lambda: _cache(arguments))


def _cache(arguments: argparse.Namespace) -> int:
    cache = FeatureCache(Path(resolved_dir(arguments.dir)), max_bytes=0)
    entries = cache.entries()
    if arguments.clear is None:
        return _list(entries, cache.folder, every=arguments.all)
    return _clear(cache, entries, arguments.clear)


def _list(entries: list[Entry], folder: Path, *, every: bool) -> int:
    """The largest first; the small ones together, unless `every` store gets a line."""
    if not entries:
        print(f"{folder} holds nothing.")
        return 0
    print(f"{plural(len(entries), 'store')}, {_size(entries)} in {printable(folder)}")
    largest_first = sorted(entries, key=lambda entry: -entry.num_bytes)
    shown = largest_first if every else largest_first[:_SHOWN]
    Console().print(WholeTable(_table(shown)))
    if rest := largest_first[len(shown) :]:
        print(f"and {len(rest):,} more, {_size(rest)} (--all lists them)")
    return 0


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("name", "model", "after stage", "views", "size", "last used"):
        table.add_column(name, justify="right" if name in ("views", "size") else "left")
    for entry in entries:
        used = f"{datetime.fromtimestamp(entry.last_used):%Y-%m-%d %H:%M}"
        table.add_row(entry.folder.name[:12], *_cells(entry.about), _size([entry]), used)
    return table


def _size(entries: list[Entry]) -> str:
    return f"{sum(entry.num_bytes for entry in entries) / 1e6:,.1f} MB"


def _cells(about: dict[str, Any]) -> list[str]:
    """Model, stage and number of views of what frozen stages gave; the folder of images that were read."""
    if about.get("kind") == "scan":
        number = about.get("images", 0)
        read = plural(number, "image read", "images read") if isinstance(number, int) else ""
        return [escape(f"{read} in {about.get('root')}" if read else "?"), "", ""]
    return [escape(str(about.get(key, "?"))) for key in ("model", "stage", "views")]


def _clear(cache: FeatureCache, entries: list[Entry], names: list[str]) -> int:
    for name in names:
        if not any(entry.folder.name.startswith(name) for entry in entries):
            raise UserError(f"--clear {name}: no store's name begins so; see {typed('cache')}")
    matching = [e for e in entries if not names or any(e.folder.name.startswith(name) for name in names)]
    for entry in matching:
        cache.remove(entry)
    print(f"Removed {plural(len(matching), 'store')}, {_size(matching)}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = plain_parser("cache", _HELP)
    where = "the cache; default $XDG_CACHE_HOME/thawline, or ~/.cache/thawline"
    parser.add_argument("--dir", default="auto", help=where)
    parser.add_argument("--all", action="store_true", help="a line for every store, the largest first")
    parser.add_argument("--clear", nargs="*", metavar="NAME", help="remove these stores, or all of them")
    return parser.parse_args()

"""List, or clear, what is kept for later runs: activations of frozen stages, and what reading images showed."""

import argparse
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thawline.commands.plain_end import exit_code
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.features.feature_cache import Entry, FeatureCache
from thawline.invocation import typed
from thawline.settings.cache_settings import resolved_dir
from thawline.whole_table import WholeTable

_DAY_S = 86_400
_HELP = """List, or clear, what is kept for later runs: what frozen stages gave, and what reading images showed.

    {cache}                    # what is there: the least recently used first
    {cache} --clear            # remove everything
    {cache} --clear 1f3a9c     # remove the stores whose names begin so
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
        return _list(entries, cache.folder)
    return _clear(cache, entries, arguments.clear)


def _list(entries: list[Entry], folder: Path) -> int:
    if not entries:
        print(f"{folder} holds nothing.")
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("name", "model", "after stage", "views", "size", "last used"):
        table.add_column(name, justify="right" if name in ("views", "size") else "left")
    for entry in entries:
        days = (time.time() - entry.last_used) / _DAY_S
        used = "today" if days < 1 else f"{days:.0f} days ago"
        table.add_row(entry.folder.name[:12], *_cells(entry.about), f"{entry.num_bytes / 1e6:,.1f} MB", used)
    Console().print(WholeTable(table))
    print(f"{len(entries)} stores, {sum(e.num_bytes for e in entries) / 1e6:,.1f} MB in {folder}")
    return 0


def _cells(about: dict[str, Any]) -> list[str]:
    """Model, stage and number of views of what frozen stages gave; the folder of images that were read."""
    if about.get("kind") == "scan":
        number = about.get("images", 0)
        return [escape(f"{number:,} images read in {about.get('root')}" if isinstance(number, int) else "?"), "", ""]
    return [escape(str(about.get(key, "?"))) for key in ("model", "stage", "views")]


def _clear(cache: FeatureCache, entries: list[Entry], names: list[str]) -> int:
    for name in names:
        if not any(entry.folder.name.startswith(name) for entry in entries):
            raise UserError(f"--clear {name}: no store's name begins so; see {typed('cache')}")
    chosen = [e for e in entries if not names or any(e.folder.name.startswith(name) for name in names)]
    for entry in chosen:
        cache.remove(entry)
    print(f"Removed {len(chosen)} stores, {sum(e.num_bytes for e in chosen) / 1e6:,.1f} MB.")
    return 0


def _arguments() -> argparse.Namespace:
    cache = typed("cache")
    parser = argparse.ArgumentParser(
        prog=cache, description=_HELP.format(cache=cache), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = "the cache; default $XDG_CACHE_HOME/thawline, or ~/.cache/thawline"
    parser.add_argument("--dir", default="auto", help=where)
    parser.add_argument("--clear", nargs="*", metavar="NAME", help="remove these stores, or all of them")
    return parser.parse_args()

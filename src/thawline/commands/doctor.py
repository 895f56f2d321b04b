"""What this machine has and whether Thawline works on it, in one block to paste into a report."""

import argparse
import time
from pathlib import Path

from thawline import __version__
from thawline.commands.ending import BROKEN, exit_code
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.errors import UserError
from thawline.settings.cache_settings import resolved_dir

_HELP = """Machine, versions, devices, threads and quota, caches, and a self-test of a few seconds.

    {command}                    # one block of plain text, to paste into a report

It reads and measures; it changes nothing and sends nothing.
"""


def main() -> int:
    """Print the block; 1 where a part of the self-test fails."""
    note_start()
    _arguments()
    return exit_code(_doctor)


def _doctor() -> int:
    from thawline.machine.compute import choose_compute  # imports torch; --help does without
    from thawline.machine.inventory import inventory
    from thawline.runs.self_test import self_test

    print(f"thawline {__version__}, {time.strftime('%Y-%m-%d')}")
    for name, value in inventory(_folders()):
        print(f"{name + ':':15}{value}")
    start, sound = time.perf_counter(), True
    for name, works, seen in self_test(choose_compute(accelerator="auto", precision="auto").device):
        sound = sound and works
        print(f"{'self-test:':15}{'ok    ' if works else 'FAILED'} {name}: {seen}")
    print(f"{'self-test:':15}{'all ok' if sound else 'FAILED'}, {time.perf_counter() - start:.1f} s")
    return 0 if sound else BROKEN


def _folders() -> dict[str, Path]:
    folders = {"outputs": Path("outputs").absolute()}
    try:
        folders["cache"] = Path(resolved_dir("auto"))
    except UserError:
        folders["cache"] = Path("no home folder")
    return folders


def _arguments() -> argparse.Namespace:
    parser = plain_parser("doctor", _HELP)
    return parser.parse_args()

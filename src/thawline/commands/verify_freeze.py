"""Verify what a run froze: recompute its certificate, freeze.json, from the checkpoints and the pretrained weights."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from thawline.commands.ending import BROKEN, exit_code
from thawline.commands.plain_parser import plain_parser
from thawline.commands.started import note_start
from thawline.whole_table import WholeTable

if TYPE_CHECKING:  # imports torch; --help does without
    from thawline.freezing.verify import StageCheck

_HELP = """Recompute what a run froze, its freeze.json, from the checkpoints and the pretrained weights.

    {command} outputs/small_different/RUN
"""


def main() -> int:
    """Verify; returns the exit code."""
    note_start()
    run: Path = _arguments().run
    return exit_code(lambda: _verify(run))


def _verify(run: Path) -> int:
    from thawline.freezing.verify import verify

    checks = verify(run)
    Console().print(WholeTable(_table(checks)))
    for problem in (problem for check in checks for problem in check.problems):
        print(f"  {problem}")
    bad = sum(bool(check.problems) for check in checks)
    broken = f"BROKEN: {bad} of {len(checks)} parts are not what the certificate says"
    print(broken if bad else "The certificate holds.")
    return BROKEN if bad else 0


def _table(checks: "Sequence[StageCheck]") -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "trained in epochs", "tensors", "frozen throughout", "verdict"):
        table.add_column(name, justify="right" if name in ("tensors", "frozen throughout") else "left")
    for check in checks:
        spans = ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in check.epochs) or "never"
        sound = "bitwise unchanged" if check.frozen == check.tensors else "as certified"
        verdict = "BROKEN" if check.problems else sound
        table.add_row(check.name, spans, str(check.tensors), str(check.frozen), verdict)
    return table


def _arguments() -> argparse.Namespace:
    parser = plain_parser(
        "verify_freeze",
        _HELP,
        epilog="Exit code 0: everything that the plan froze is bitwise the pretrained weights. 1: something is not. "
        "2: the run cannot be checked.",
    )
    parser.add_argument("run", type=Path, help="folder of a run; it holds freeze.json and checkpoints/")
    return parser.parse_args()

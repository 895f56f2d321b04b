"""Verify what a run froze: recompute its certificate, freeze.json, from the checkpoints and the pretrained weights.

python scripts/verify_freeze.py outputs/small_different/RUN
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit code 0: everything that the plan froze is bitwise the pretrained weights. 1: something is not. "
        "2: the run cannot be checked.",
    )
    parser.add_argument("run", type=Path, help="folder of a run; it holds freeze.json and checkpoints/")
    run: Path = parser.parse_args().run

    from thawline.errors import UserError  # imports torch; --help does without
    from thawline.freezing.verify import StageCheck, verify

    def table(checks: list[StageCheck]) -> Table:
        made = Table(box=None, pad_edge=False)
        for name in ("stage", "trained in epochs", "tensors", "frozen throughout", "verdict"):
            made.add_column(name, justify="right" if name in ("tensors", "frozen throughout") else "left")
        for check in checks:
            spans = ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in check.epochs) or "never"
            sound = "bitwise unchanged" if check.frozen == check.tensors else "as certified"
            verdict = "BROKEN" if check.problems else sound
            made.add_row(check.name, spans, str(check.tensors), str(check.frozen), verdict)
        return made

    try:
        checks = verify(run)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(table(checks))
    for problem in (problem for check in checks for problem in check.problems):
        print(f"  {problem}")
    bad = sum(bool(check.problems) for check in checks)
    print(
        f"BROKEN: {bad} of {len(checks)} parts are not what the certificate says" if bad else "The certificate holds."
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

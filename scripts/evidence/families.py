"""Train one small model of every timm family for a step at two depths; writes docs/families.md and families.jsonl.

python scripts/evidence/families.py             # random weights, offline; goes on where it was stopped
python scripts/evidence/families.py --render    # the page alone
"""

import argparse
import json
import math
import multiprocessing
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import timm

from family.trial_of_one import FAILS, REFUSED, WORKS, Outcome, attempt
from thawline.markdown import markdown_table

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLE, PAGE = DOCS / "families.jsonl", DOCS / "families.md"
LIMIT_S = 60.0  # seconds of a core for one model
_PATIENCE = 10  # times as long on the clock, for a machine that does other work too
# What names of small models hold, the smallest first.
SMALL_WORDS = ("atto", "femto", "pico", "nano", "xxs", "xx_small", "xs", "tiny", "small", "_s", "18", "b0", "m1")
MAX_SIDE = 288  # pixels; of a family whose models are all larger the smallest side is taken
TOO_LONG = "too long"
Row = dict[str, Any]


def main() -> None:
    """Survey the families that the table lacks, then write the page."""
    arguments = _arguments()
    known = rows_of(TABLE)
    for family in [] if arguments.render else sorted(timm.list_modules()):
        if arguments.only and family not in arguments.only:
            continue
        if family not in known or family in arguments.only:
            known[family] = survey(family, seconds=arguments.seconds)
            TABLE.write_text("".join(json.dumps(known[name]) + "\n" for name in sorted(known)), encoding="utf-8")
            print(known[family], flush=True)
    PAGE.write_text(page(known.values()), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--render", action="store_true", help="write the page from the table")
    parser.add_argument("--only", nargs="*", default=[], help="these families, once more")
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="for one model")
    return parser.parse_args()


def rows_of(table: Path) -> dict[str, Row]:
    """Family -> what came of it, of a run before."""
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    return {row["family"]: row for row in map(json.loads, lines)}


def survey(family: str, *, seconds: float) -> Row:
    """Try the smallest model of a family in a process of its own, which the kernel ends after so much work."""
    name = smallest([name for name in timm.list_models(module=family) if not name.startswith("test_")])
    context = multiprocessing.get_context("fork")  # what is imported here is not imported again
    here, there = context.Pipe()
    child = context.Process(target=_try, args=(name, there, math.ceil(seconds)))
    child.start()
    there.close()
    child.join(seconds * _PATIENCE)
    if child.is_alive():
        child.kill()
        child.join()
    try:
        result = asdict(here.recv())
    except EOFError:  # it was ended before it said anything
        late = child.exitcode in (-signal.SIGXCPU, -signal.SIGKILL)
        result = asdict(Outcome(TOO_LONG if late else FAILS, line=f"ended by {_ending(child.exitcode)}"))
    return {"family": family, "model": name, "side": side_of(name), **result}


def _try(name: str, pipe: Connection, seconds: int) -> None:
    used = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send(attempt(name))


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def side_of(name: str) -> int:
    """Of the images that a model expects, in pixels."""
    size = timm.get_pretrained_cfg_value(name, "input_size") or (3, 224, 224)
    return int(size[-1])


def smallest(names: Iterable[str]) -> str:
    """The model whose name promises the least work: small images, the earliest of `SMALL_WORDS`, a short name."""

    def work(name: str) -> tuple[int, int, int]:
        word = next((i for i, word in enumerate(SMALL_WORDS) if word in name), len(SMALL_WORDS))
        return max(side_of(name), MAX_SIDE), word, len(name)

    return min(names, key=work)


def page(rows: Iterable[Row]) -> str:
    """docs/families.md."""
    rows = sorted(rows, key=lambda row: row["family"])
    counts = {word: sum(row["outcome"] == word for row in rows) for word in (WORKS, REFUSED, FAILS, TOO_LONG)}
    table = [
        (r["family"], r["model"], str(r["side"]), str(r.get("stages") or "-"), r["outcome"], _cell(r["line"]))
        for r in rows
    ]
    return "\n".join(
        [
            "# Which backbones work",
            "",
            f"One small model of each of timm's {len(rows)} families, with random weights, at its images' size. It "
            "is cut into stages, compared with the whole at two cuts, and trained for one step with one and with half "
            "of its stages unfrozen: what is frozen must not move by a bit, and something above must.",
            "",
            f"{counts[WORKS]} work, {counts[REFUSED]} are refused in one line, {counts[FAILS]} fail, "
            f"{counts[TOO_LONG]} took more than {LIMIT_S:g} s. timm {version('timm')}, torch {version('torch')}, a "
            f"CPU core, {date.today().isoformat()}. `python scripts/evidence/families.py`",
            "",
            markdown_table(["family", "model", "pixels", "stages", "outcome", "why"], table, align="llrrll"),
            "",
        ]
    )


def _cell(line: str) -> str:
    return line.replace("|", "/")


if __name__ == "__main__":
    main()

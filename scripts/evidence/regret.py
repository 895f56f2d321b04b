"""Judge the advisor: its choice against the best of a full sweep of strategies and depths, on eleven tasks.

    python scripts/evidence/regret.py                       # what is missing, then docs/regret.md; hours on 2 CPU cores
    python scripts/evidence/regret.py --tasks digits_100 --backbones tf_efficientnet_lite0
    python scripts/evidence/regret.py --render              # the page and measured.json, from what is there

Results lie in docs/regret/, one file per task and backbone; a run that was stopped goes on where it was. What the
advisor learns from them is src/thawline/advisor/measured.json.
"""

import argparse
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

from judge.choices import Sweep, load_sweep, measured_json
from judge.regret_table import page
from judge.sweep import is_complete, measure
from judge.tasks import BACKBONES, TASKS
from thawline.atomic import write_atomically
from thawline.machine.memory import keep_freed_memory
from thawline.machine.processes import num_cores
from thawline.runs.quiet import quiet

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "src" / "thawline" / "advisor" / "measured.json"
PAGE = ROOT / "docs" / "regret.md"


def main() -> None:
    """Sweep what is missing, then write what was learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES), metavar="BACKBONE")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "regret", help="folder of the results")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    given = parser.parse_args()
    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    for backbone in [] if given.render else given.backbones:
        for name in given.tasks:
            start = time.perf_counter()
            with quiet():
                measure(TASKS[name], backbone, given.out)
            print(f"{name} {backbone}: {time.perf_counter() - start:.0f} s", flush=True)
    sweeps = load_sweeps(given.out)
    write_atomically(MEASURED, measured_json(sweeps))
    write_atomically(PAGE, page(sweeps, machine()))
    print(PAGE.read_text(encoding="utf-8"))


def load_sweeps(folder: Path) -> list[Sweep]:
    """Those that are complete, by backbone, in the order of the tasks."""
    paths = [folder / f"{task}_{backbone}.json" for backbone in BACKBONES for task in TASKS]
    return [load_sweep(path) for path in paths if is_complete(path)]


def machine() -> str:
    """Where and with what: for the foot of the page."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "timm", "scikit-learn"))
    cores, today = f"{num_cores()} {platform.machine()} cores", time.strftime("%Y-%m-%d")
    return f"{cores}, {versions}, {today}, `python scripts/evidence/regret.py`"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; what is done is kept, and the same command goes on")

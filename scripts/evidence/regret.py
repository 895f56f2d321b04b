"""Judge the product's answers against the best of a full sweep of strategies and depths, on eleven tasks.

    python scripts/evidence/regret.py                       # what is missing, then docs/regret.md; hours on 2 CPU cores
    python scripts/evidence/regret.py --tasks digits_100 --backbones tf_efficientnet_lite0
    python scripts/evidence/regret.py --answers             # stack and blend alone, beside the sweeps of 2026-11-24
    python scripts/evidence/regret.py --render              # the page alone, from what is there

Results lie in docs/regret/, one file per task and backbone, written after every fit; a run that was stopped goes on
where it was. Two processes may share the work by --tasks or --backbones, OMP_NUM_THREADS=1 each; then --render.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from judge.answers_page import all_answers, answers_page, earlier_sweeps
from judge.expectations import usual_gain
from judge.measurement import Entries, TaskMaker, measure, measure_answers
from judge.regret_results import Sweep, load_sweep
from judge.regret_table import gains, page
from judge.tasks import BACKBONES, TASKS
from thawline.atomic import write_atomically
from thawline.machine.memory import keep_freed_memory
from thawline.machine.processes import num_cores
from thawline.runs.quiet import quiet

ROOT = Path(__file__).resolve().parents[2]
EARLIER = ROOT / "docs" / "regret_earlier_sweeps.json"


def main() -> None:
    """Measure what is missing; then write the page if everything is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES), metavar="BACKBONE")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "regret", help="results; the page lies beside")
    parser.add_argument("--render", action="store_true", help="measure nothing; write the page from what is complete")
    parser.add_argument("--answers", action="store_true", help="stack and blend alone: docs/regret_of_answers.md")
    given = parser.parse_args()
    if not given.render:
        measure_all(given.tasks, given.backbones, given.out, measure_answers if given.answers else measure)
    if given.answers:
        write_answers(given.out)
        return
    sweeps = load_sweeps(given.out)
    if not sweeps or (len(sweeps) < len(TASKS) * len(BACKBONES) and not given.render):
        print(f"{len(sweeps)} of {len(TASKS) * len(BACKBONES)} sweeps are complete; --render writes the page from them")
        return
    path = given.out.with_suffix(".md")
    write_atomically(path, page(sweeps, machine()))
    print(f"{path}\n\n{gains(sweeps)}\n\n{constants(sweeps)}")


def write_answers(folder: Path) -> None:
    """docs/regret_of_answers.md, from what there is."""
    answers, path = all_answers(folder), folder.with_name("regret_of_answers.md")
    write_atomically(path, answers_page(answers, earlier_sweeps(EARLIER), machine()))
    print(f"{path}: {len(answers)} of {len(TASKS) * len(BACKBONES)} tasks and backbones")


def measure_all(
    tasks: list[str], backbones: list[str], folder: Path, what: Callable[[Entries, TaskMaker], object]
) -> None:
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    for backbone in backbones:
        for name in tasks:
            start = time.perf_counter()
            with quiet():
                what(Entries(folder / f"{name}_{backbone}.json"), TaskMaker(TASKS[name], backbone))
            print(f"{name} {backbone}: {time.perf_counter() - start:.0f} s", flush=True)


def load_sweeps(folder: Path) -> list[Sweep]:
    """Those that are complete, by backbone, in the order of the tasks."""
    paths = [folder / f"{task}_{backbone}.json" for backbone in BACKBONES for task in TASKS]
    return [sweep for path in paths if path.is_file() and (sweep := load_sweep(path)) is not None]


def constants(sweeps: list[Sweep]) -> str:
    """What src/thawline/training/blend_gain.py should hold."""
    usual = usual_gain(sweeps)
    return "" if usual is None else f"USUAL_GAIN = {usual.mean:.4f}\n_SPREAD = {usual.spread:.4f}"


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

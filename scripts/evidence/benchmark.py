"""Measure Thawline against plain Lightning + timm + ImageFolder, side by side; write docs/speed.md, .json and .png.

    python scripts/evidence/benchmark.py                              # every case, three repeats: hours on 2 CPU cores
    python scripts/evidence/benchmark.py --plain-epochs 2             # few epochs of the baseline, scaled linearly
    python scripts/evidence/benchmark.py --cases memory startup       # these cases; the others stay as they are
    python scripts/evidence/benchmark.py --quick                      # every line once; the numbers mean nothing
    python scripts/evidence/benchmark.py --render                     # table and plot anew from the file

Both sides run in processes of their own, in turn. On a GPU the files are docs/speed_DEVICE.*.
"""

import argparse
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from speed.cases import CASES
from speed.child import ROOT, run_module
from speed.plot import draw, plotted
from speed.results import Results, file_name, load, merge
from speed.scaling import MIN_EPOCHS
from speed.setting import FULL, PLAIN_WORKERS, QUICK, Setting
from speed.speed_table import render

REPEATS = 3  # chosen: the fewest with a median that is not an extreme


def main() -> int:
    """Measure the cases, one after the other; what is measured is written at once."""
    given = _arguments()
    if given.render:
        for path in sorted(given.out.glob("speed*.json")):
            write_pages(load(path), path)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out = folder / "docs" if given.quick else given.out
        try:
            measure(given, folder, out)
        except RuntimeError as error:  # a run failed; the cases before it are written
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


def measure(given: argparse.Namespace, folder: Path, out: Path) -> None:
    """Run the cases below `folder` and write their results to `out`; prints the page."""
    machine, _ = run_module("machine")
    sizes = QUICK if given.quick else FULL
    images = folder / "solar_cells"
    run_module("image_folders", images, sizes.num_images)
    path = out / f"{file_name(machine)}.json"
    setting = Setting(
        folder, images, sizes, given.repeats, bool(machine["cuda"]), given.plain_epochs, given.plain_workers
    )
    for name in given.cases:
        start = time.perf_counter()
        case = CASES[name](setting)
        write_pages(merge(path, name, {**_about(given, machine), **case}), path)
        print(f"{name}: measured in {time.perf_counter() - start:.0f} s", flush=True)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def write_pages(results: Results, path: Path) -> None:
    """The table and the plot beside the results in `path`."""
    picture = path.with_suffix(".png")
    path.with_suffix(".md").write_text(render(results, page=path.stem), encoding="utf-8")
    rows = plotted(results)
    if rows:
        draw(rows, picture)


def _about(given: argparse.Namespace, machine: dict[str, Any]) -> dict[str, Any]:
    """Where, when and how; of the options, those that change a number."""
    options = {
        "--plain-epochs": given.plain_epochs,
        "--plain-workers": given.plain_workers if given.plain_workers != PLAIN_WORKERS else None,
    }
    options_given = [f" {name} {value}" for name, value in options.items() if value is not None]
    command = f"python scripts/evidence/benchmark.py{' --quick' * given.quick}{''.join(options_given)}"
    return {"machine": machine, "date": date.today().isoformat(), "repeats": given.repeats, "command": command}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--repeats", type=int, help="of every case, each a pair of runs; default 3")
    parser.add_argument("--plain-epochs", type=int, metavar="N", help="run N epochs of the baseline and scale")
    parser.add_argument(
        "--plain-workers", type=int, default=PLAIN_WORKERS, help="processes that load the baseline's images"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing is kept")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    given = parser.parse_args()
    if given.repeats is None:
        given.repeats = 1 if given.quick else REPEATS
    if given.repeats < 1:
        parser.error(f"--repeats {given.repeats}: give 1 or more")
    if given.plain_epochs is not None and given.plain_epochs < MIN_EPOCHS:
        parser.error(f"--plain-epochs {given.plain_epochs}: give {MIN_EPOCHS} or more; one does not tell the others")
    return given


if __name__ == "__main__":
    sys.exit(main())

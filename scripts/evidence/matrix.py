"""The guidelines on trial: what `sweep=matrix` found, written to matrix.md and matrix.png beside its runs.

python train.py sweep=matrix hydra.launcher.n_jobs=2      # 60 jobs, 80 minutes on 2 CPU cores
python scripts/evidence/matrix.py outputs/multirun/SWEEP
python scripts/compare.py outputs/multirun/SWEEP --html   # the same runs, one by one
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from thawline.atomic import write_atomically
from thawline.errors import UserError
from thawline.machine.processes import num_cores
from trial.cells import Cell, read_cells
from trial.figure import draw
from trial.tables import accuracies, convergence, savings, verdicts


def main() -> int:
    """Read the runs and write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folder of the sweep")
    parser.add_argument("--out", type=Path, help="folder of the page; default: the first PATH")
    given = parser.parse_args()
    try:
        cells = read_cells(given.paths)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out = given.out or given.paths[0]
    out.mkdir(parents=True, exist_ok=True)
    text = page(cells)
    write_atomically(out / "matrix.md", text)
    write_atomically(out / "matrix.png", draw(cells, converging=cells[-1]))
    print(text)
    return 0


def page(cells: Sequence[Cell]) -> str:
    """Markdown."""
    record = cells[0].any_record
    model, bound, batch = record.model, record.settings["trainer.max_steps"], record.settings["data.batch_size"]
    seeds, seen = len(cells[0].runs[cells[0].guideline]), bound * batch
    return f"""# The guidelines on trial

This page says whether each guideline of the transfer matrix holds on the images at hand.

`python train.py sweep=matrix` ran every strategy in each cell of the matrix, at the strategy's default learning rates,
with {seeds} seeds of head and order and one split:
{model.name} at {model.image_size} pixels, at most {bound} steps of {batch} images.

- A number is the mean over the seeds, with its bootstrap interval of 95 %. Of so few seeds the interval is rough.
  Differences are taken seed by seed.
- The large cells offer 118,200 training images, of which {bound} steps of {batch} see {seen:,}, none of them twice. So
  they say little about long training on many images.
- `photo_crops` are crops of 12 photographs, so its many images are less varied than their number says.
  `ultrasound_phantom` is simulated. The small cells test on 120 images: one image is 0.8 points.
- The data differ between the cells, so compare strategies within a cell, not cells.
- Other splits of the same photographs, at 112 pixels, point both ways ([regret](regret.md)). With
  EfficientNet-Lite0 the head alone has 0.902 and fine-tuning everything 0.866; with Lite1 they have 0.877 and 0.937.

![Test accuracy by cell and strategy; learning curves](matrix.png)

## Does each guideline hold?

{verdicts(cells)}

## Every strategy in every cell

{accuracies(cells)}

## Pretrained against random weights, where there are many images

{convergence(cells[-1])}

## What feature extraction saves

{savings(cells)}

The price follows the time, at any rate per hour (`cost.per_hour`). {_where(cells)}
"""


def _where(cells: Sequence[Cell]) -> str:
    record = cells[0].any_record
    named = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    threads = "a core for each job" if record.machine.cores == 1 else f"{record.machine.cores} cores"
    return f"{num_cores()} {platform.machine()} CPU cores, {threads}, {named}, {date.today().isoformat()}."


if __name__ == "__main__":
    sys.exit(main())

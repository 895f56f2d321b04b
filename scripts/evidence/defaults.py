"""Which random views and which weights should be the defaults? Every fit of the comparison, in one pool of processes.

    python scripts/evidence/defaults.py --out defaults.jsonl               # hours on 2 CPU cores
    python scripts/evidence/defaults.py --out defaults.jsonl --minutes 5   # an H100 with 16 cores
    python scripts/evidence/defaults.py --tasks digits_100 --depths 0 3 --out defaults.jsonl
    python scripts/evidence/defaults_table.py defaults.jsonl                                  # the tables

The eleven tasks of the regret table at 112 pixels, two backbones, three seeds, each trained with the settings of conf/
(10 epochs): the head alone (feature_extraction), the last three stages (partial_fine_tune), everything
(full_fine_tune); with plain images, 4 or 8 stored views, or a fresh view in every epoch. A result is a line of JSON;
the same command goes on where it stopped. `--carried` is what defaults_export.py made.
"""

import argparse
import os
import time
from pathlib import Path

from default_settings import pool
from default_settings.grid import BACKBONES, SEEDS, STRATEGIES, TASKS, jobs
from default_settings.task_images import make_arrays, name_of

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Make the images, then fit what is missing."""
    start, given = time.time(), _given()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes to come
    given.out.parent.mkdir(parents=True, exist_ok=True)
    before = pool.read(given.out)
    left = jobs(given.tasks, given.backbones, given.seeds, given.depths, done=pool.done(before))
    order = pool.Order(given.images, given.carried, given.out, start + 60 * given.minutes)
    workers = pool.Workers(min(given.processes, len(left)), order)
    names = list(dict.fromkeys(name_of(task) for task in given.tasks))
    errors = make_arrays(names, given.carried, given.images, processes=given.processes)
    for name, error in errors.items():
        print(f"{name}: no images ({error})", flush=True)
    print(f"{time.time() - start:.0f} s: images are there; {sum(len(job.fits) for job in left)} fits", flush=True)
    workers.run([job for job in left if name_of(job.task) not in errors])
    _tell(pool.read(given.out)[len(before) :], start)


def _tell(results: list[dict[str, object]], start: float) -> None:
    failed = [result for result in results if "error" in result]
    print(f"{time.time() - start:.0f} s: {len(results) - len(failed)} fits done, {len(failed)} failed", flush=True)
    for error in sorted({str(result["error"]) for result in failed})[:5]:
        print(f"  {error}", flush=True)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES, metavar="BACKBONE")
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS, metavar="SEED")
    parser.add_argument(
        "--depths", nargs="+", type=_depth, choices=STRATEGIES, default=list(STRATEGIES), metavar="DEPTH"
    )
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, default=7 * 24 * 60.0, help="after them, no fit is begun")
    parser.add_argument("--carried", type=Path, default=ROOT / ".tasks", help="weights, and images that are packed")
    parser.add_argument("--images", type=Path, default=ROOT / ".made", help="folder of the images as arrays")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _depth(text: str) -> int | str:
    return int(text) if text.isdigit() else text


if __name__ == "__main__":
    main()

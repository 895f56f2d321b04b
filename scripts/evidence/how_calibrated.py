"""Calibration error and coverage of prediction sets with 1,000 test images or more: the table of docs/model.md.

python scripts/evidence/how_calibrated.py            # runs that are there already are kept
python scripts/evidence/how_calibrated.py --render   # the table of what is there
"""

import argparse
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from thawline import train
from thawline.markdown import markdown_table
from thawline.report.run_record import RunRecord, load_record

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (0, 1, 2)  # of the head and of the split
STRATEGIES = ("stacked_probe", "feature_extraction")
TEST_SHARES = {"digits": 0.6, "textile": 0.5, "solar_cells_all": 0.4}  # so that 1,000 images or more are tested
GOAL_ECE = 0.03  # set before anything was measured
_HEADS = (
    "data", "strategy", "seed", "test images", "accuracy", "error before", "after", "95 % interval", "perfect",
    "<= 0.03", "covered", "90 % within",
)  # fmt: skip


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, default=ROOT / "outputs" / "how_calibrated")
    parser.add_argument("--render", action="store_true", help="run nothing")
    parser.add_argument("--data", nargs="+", choices=TEST_SHARES, default=list(TEST_SHARES))
    given = parser.parse_args()
    records = [
        record
        for data in given.data
        for strategy in STRATEGIES
        for seed in SEEDS
        for record in _run(given.output_dir, data, strategy, seed, only_read=given.render)
    ]
    print(about(records), table(records), sep="\n\n")


def _run(out: Path, data: str, strategy: str, seed: int, *, only_read: bool) -> Iterator[RunRecord]:
    """The record of one run; nothing where it is missing and `only_read`."""
    place = out / f"{data}_{strategy}_{seed}"
    for path in sorted(place.rglob("run.json")):
        if (record := load_record(path)).status == "completed":
            yield record
            return
    if not only_read:
        yield train(
            [
                "scenario=small_different", f"data={data}", f"strategy={strategy}", f"seed={seed}",
                f"data.split_seed={seed}", f"data.test_fraction={TEST_SHARES[data]}", "model.image_size=96",
                "data.num_workers=0", f"output_dir={place}", f"cache.dir={out / 'cache'}",
            ]
        )  # fmt: skip


def table(records: list[RunRecord]) -> str:
    """A row for each run."""
    rows = []
    for record in records:
        got = record.calibration
        holds = got.low <= got.goal <= got.high
        rows.append(
            (
                record.data.name, record.strategy.name, str(record.seed), f"{record.data.num_test:,}",
                f"{record.metrics['test/accuracy']:.3f}", f"{got.ece_before:.3f}", f"{got.ece_after:.3f}",
                f"{got.ece_low:.3f} to {got.ece_high:.3f}", f"{got.ece_by_chance:.3f}",
                "yes" if got.ece_after <= GOAL_ECE else "**no**",
                f"{got.coverage:.3f} ({got.low:.3f} to {got.high:.3f})", "yes" if holds else "**no**",
            )
        )  # fmt: skip
    return markdown_table(_HEADS, rows, align="llrrrrrrrrrr")


def about(records: list[RunRecord]) -> str:
    """Where and when it was measured."""
    if not records:
        return "no run is there"
    first = records[0]
    versions = ", ".join(f"{name} {number}" for name, number in first.versions.items())
    days = sorted({record.run_id[: len("2026-01-31")] for record in records})
    sizes = f"{first.model.name} at {first.model.image_size} pixels"
    when = " to ".join(days[:: max(1, len(days) - 1)])
    return f"{sizes}, {os.cpu_count()} {platform.machine()} CPU cores, {versions}, {when}."


if __name__ == "__main__":
    main()

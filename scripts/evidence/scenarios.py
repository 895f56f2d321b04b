"""Run the four scenarios over seeds and write their results to docs/scenarios.md and docs/scenarios.json.

python scripts/evidence/scenarios.py            # about 12 minutes on 2 CPU cores; runs that are there already are kept
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from thawline.markdown import markdown_table
from thawline.report.run_record import RunRecord, load_record

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_HEADS = ("scenario", "strategy", "training images", "trained parameters", "test accuracy", "balanced", "seeds", "time")
# The large scenarios are bounded in steps and take longer: one seed.
SEEDS = {"small_similar": 3, "large_similar": 1, "small_different": 3, "large_different": 1}


_ABOUT = """This page holds one result for each of the four scenarios, as `python train.py scenario=NAME` runs them.

EfficientNet-Lite0 at 224 pixels with embedded ImageNet weights; mean ± standard deviation over seeds of head and order,
one split. "Balanced" is the mean over the classes: guessing gives 1 / classes. In `solar_cells` guessing gives 0.25,
and always saying the largest class gives an accuracy of 0.575. "Trained" is the share of the parameters that train.
The small scenarios test on 120 images: one image is 0.8 points.
The large scenarios offer 118,200 training images and stop after 150 steps of 32, so they see 4,800 of them.
`photo_crops` are crops of 12 photographs; `ultrasound_phantom` is simulated."""


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, default=ROOT / "outputs" / "scenarios")
    folder = parser.parse_args().output_dir
    runs = {name: [run(name, seed, folder) for seed in range(count)] for name, count in SEEDS.items()}
    DOCS.mkdir(exist_ok=True)
    text = f"# The four scenarios, measured\n\n{_machine(runs)}\n\n{table(runs)}\n"
    (DOCS / "scenarios.md").write_text(text)
    body = {
        name: [{"metrics": r.metrics, "cost": vars(r.cost), "seed": r.seed} for r in of_scenario]
        for name, of_scenario in runs.items()
    }
    (DOCS / "scenarios.json").write_text(json.dumps(body, indent=2) + "\n")
    print(text)


def run(scenario: str, seed: int, folder: Path) -> RunRecord:
    """Run one scenario with one seed, or read the record of an earlier run of this script."""
    for path in sorted((folder / f"seed_{seed}" / scenario).glob("*/run.json")):
        if (record := load_record(path)).status == "completed":
            return record
    command = [sys.executable, "train.py", f"scenario={scenario}", f"seed={seed}", f"output_dir={folder}/seed_{seed}"]
    print(" ".join(command[1:]), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)
    return run(scenario, seed, folder)


def table(runs: dict[str, list[RunRecord]]) -> str:
    """Markdown: one row per scenario."""
    rows = []
    for name, records in runs.items():
        first = records[0]
        cells = [
            f"`{name}`: {first.data.name}, {first.data.num_classes} classes",
            first.strategy.name,
            f"{first.data.num_train:,}",
            f"{first.params.trainable / first.params.total:.1%}",
            _spread([r.metrics["test/accuracy"] for r in records]),
            _spread([r.metrics["test/balanced_accuracy"] for r in records]),
            str(len(records)),
            f"{statistics.median(r.cost.wall_s for r in records):.0f} s",
        ]
        rows.append(cells)
    return markdown_table(_HEADS, rows, align="llrrrrrr")


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def _machine(runs: dict[str, list[RunRecord]]) -> str:
    records = [record for of_scenario in runs.values() for record in of_scenario]
    named = ", ".join(f"{name} {version}" for name, version in records[0].versions.items())
    days = sorted({record.run_id[: len("2026-01-31")] for record in records})
    return (
        f"{_ABOUT}\n"
        f"{os.cpu_count()} {platform.machine()} CPU cores, {named}, Python {platform.python_version()}, "
        f"{' to '.join(days[:: max(1, len(days) - 1)])}.\n"
        "`python scripts/evidence/scenarios.py`"
    )


if __name__ == "__main__":
    main()

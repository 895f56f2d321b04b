"""What each `imbalance` does on the solar cells, whose largest class has 14 times the images of the smallest.

python scripts/evidence/imbalance.py            # runs what docs/imbalance.jsonl lacks, then prints the table
python scripts/evidence/imbalance.py --render   # prints the table of docs/imbalance.md
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import thawline
from thawline.markdown import markdown_table

ROOT = Path(__file__).resolve().parents[2]
NUM_SEEDS = 3  # each with a split of its own
METRICS = ("test/accuracy", "test/balanced_accuracy", "test/macro_f1")
_HEADS = ("strategy", "options", "accuracy", "balanced accuracy", "macro F1", "balanced, against the first", "seeds")
_TRAINED = ("none", "weights", "sampler", "focal", "logit_adjust")
# Strategy -> its overrides, and the options that are compared; the first is what the others are compared with.
OPTIONS: dict[str, tuple[list[str], list[list[str]]]] = {
    "stacked_probe": (
        [],
        [["imbalance=none"], ["imbalance=weights"], ["imbalance=weights", "select=val/balanced_accuracy"]],
    ),
    "feature_extraction": ([], [[f"imbalance={kind}"] for kind in _TRAINED]),
    "partial_fine_tune": (["trainer.max_epochs=4"], [[f"imbalance={kind}"] for kind in _TRAINED]),
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "imbalance.jsonl")
    parser.add_argument("--output-dir", type=Path, default=ROOT / "outputs" / "imbalance")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    for seed in range(0 if given.render else NUM_SEEDS):
        for strategy, (fixed, options) in OPTIONS.items():
            for option in options:
                if not any(_is(row, strategy, option, seed) for row in read(given.results)):
                    run(strategy, fixed, option, seed, given)
    print(table(read(given.results)))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _is(row: dict[str, Any], strategy: str, option: Sequence[str], seed: int) -> bool:
    return (row["strategy"], row["options"], row["seed"]) == (strategy, list(option), seed)


def run(strategy: str, fixed: Sequence[str], option: Sequence[str], seed: int, given: argparse.Namespace) -> None:
    """One run; its scores become a line of the results."""
    of_seed = [f"seed={seed}", f"data.split_seed={seed}", f"output_dir={given.output_dir}"]
    record = thawline.train(
        ["scenario=small_different", f"strategy={strategy}", "compile=false", *of_seed, *fixed, *option]
    )
    row = {"strategy": strategy, "fixed": list(fixed), "options": list(option), "seed": seed}
    row["metrics"] = {key: round(value, 4) for key, value in record.metrics.items()}
    row["classes"] = record.classes.names
    row["confusion"] = record.classes.confusion
    row["ece"] = round(record.calibration.ece_after, 4)
    row["run_id"] = record.run_id
    with given.results.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each strategy and option, the mean over the seeds and the standard deviation."""
    lines = []
    for strategy, (_, options) in OPTIONS.items():
        for option in options:
            of_option = [row for row in rows if (row["strategy"], row["options"]) == (strategy, option)]
            if not of_option:
                continue
            scores = [_spread([row["metrics"][key] for row in of_option]) for key in METRICS]
            lines.append(
                [strategy, f"`{' '.join(option)}`", *scores, _gain(rows, of_option, options[0]), str(len(of_option))]
            )
    return markdown_table(_HEADS, lines, align="llrrrrr")


def _gain(rows: Sequence[dict[str, Any]], of_option: Sequence[dict[str, Any]], first: Sequence[str]) -> str:
    """Difference of the balanced accuracy from that of the first option, mean and range over common seeds."""
    key = "test/balanced_accuracy"
    plain = {row["seed"]: row["metrics"][key] for row in rows if _is(row, of_option[0]["strategy"], first, row["seed"])}
    gains = [row["metrics"][key] - plain[row["seed"]] for row in of_option if row["seed"] in plain]
    if of_option[0]["options"] == list(first) or not gains:
        return "-"
    return f"{statistics.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f})"


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


if __name__ == "__main__":
    main()

"""The comparison of scripts/evidence/defaults.py as Markdown, with what it decides.

python scripts/evidence/defaults_table.py docs/defaults.jsonl
python scripts/evidence/defaults_table.py docs/defaults.jsonl --without digits
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from default_settings.grid import ALL_VIEWS, BACKBONES, FROZEN_VIEWS, TASKS, Depth, Views
from default_settings.pool import read
from default_settings.rule_comparison import (
    RULES,
    Result,
    Unit,
    complete,
    decided,
    difference,
    unit_means,
)

_DEPTHS: dict[Depth, tuple[Views, ...]] = {0: FROZEN_VIEWS, 3: FROZEN_VIEWS, "all": ALL_VIEWS}
_CHEAPEST_FIRST: tuple[Views, ...] = ("none", "4", "8", "fresh")
_NAMES = {0: "head only", 3: "last three stages", "all": "every stage"}
_LABELS = {"none": "plain images", "4": "4 stored views", "8": "8 stored views", "fresh": "fresh views"}
_INTRODUCTION = """A unit is a task on a backbone, its seeds averaged. Differences are in points of test accuracy, in
pairs over the units, with 95 % intervals (Student's t). The test data decide between these options once, and tune
nothing else. The decision: the best for accuracy; where the interval of the difference to a cheaper option includes 0,
the cheaper one. The units are not independent (a task stands here on two backbones, some tasks share their images), so
the intervals are somewhat too narrow."""


def page(results: Sequence[Result]) -> str:
    """All tables."""
    at = {depth: complete([fit for fit in results if fit["depth"] == depth], _DEPTHS[depth]) for depth in _DEPTHS}
    at = {depth: fits for depth, fits in at.items() if fits}
    everything = [fit for fits in at.values() for fit in fits]
    rule = decided({name: unit_means(everything, name) for name in RULES})
    parts = [_INTRODUCTION, _counts(at), "## Which weights are tested", _rules(everything)]
    parts += [_rules_by_depth(at), f"Decided: **{rule}**.", f"## Which views (weights: {rule})"]
    for depth, fits in at.items():
        parts += [f"### {_NAMES[depth]}", *_views(fits, rule)]
    return "\n\n".join([*parts, "## Every unit", _units(at, rule)]) + "\n"


def _counts(at: Mapping[Depth, Sequence[Result]]) -> str:
    counted = []
    for depth, fits in at.items():
        units = len({(fit["task"], fit["backbone"]) for fit in fits})
        counted.append(f"{_NAMES[depth]} {len(fits)} fits on {units} units")
    return f"Measured: {', '.join(counted)}."


def _rules(fits: Sequence[Result]) -> str:
    """All rules over all depths and views."""
    accuracy = {name: unit_means(fits, name) for name in RULES}
    loss = {name: unit_means(fits, name, score="test_loss") for name in RULES}
    extra = {name: [f"{statistics.mean(loss[name].values()):.3f}"] for name in RULES}
    return _compared(accuracy, against="last weights", extra=extra, extra_names=["test loss"])


def _rules_by_depth(at: Mapping[Depth, Sequence[Result]]) -> str:
    columns = {
        f"{_NAMES[depth]}, {_LABELS[views]}": _with(views, fits)
        for depth, fits in at.items()
        for views in _DEPTHS[depth]
    }
    lines = ["| test accuracy |" + "".join(f" {_short(rule)} |" for rule in RULES), "|---|" + "---:|" * len(RULES)]
    for name, fits in columns.items():
        means = [statistics.mean(unit_means(fits, rule).values()) for rule in RULES]
        lines.append(f"| {name} |" + "".join(f" {mean:.3f} |" for mean in means))
    return "\n".join(lines)


def _with(views: Views, fits: Sequence[Result]) -> list[Result]:
    return [fit for fit in fits if fit["views"] == views]


def _short(rule: str) -> str:
    return rule.replace("validation ", "").replace("best accuracy, of equals the", "accuracy,")


def _views(fits: Sequence[Result], rule: str) -> list[str]:
    by_views = {
        views: unit_means(_with(views, fits), rule)
        for views in _CHEAPEST_FIRST
        if any(fit["views"] == views for fit in fits)
    }
    best = max(by_views, key=lambda views: statistics.mean(by_views[views].values()))
    named = {_LABELS[views]: values for views, values in by_views.items()}
    tables = [_compared(named, against=_LABELS[reference]) for reference in dict.fromkeys(("fresh", best))]
    return [*tables, f"Decided: **{decided(named)}**."]


def _compared(
    options: Mapping[str, Mapping[Unit, float]],
    *,
    against: str,
    extra: Mapping[str, list[str]] | None = None,
    extra_names: Sequence[str] = (),
) -> str:
    head = ["", "test accuracy", *extra_names, f"minus {against}", "better / worse on"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for name, values in options.items():
        compared = difference(values, options[against])
        gap = f"{100 * compared.mean:+.2f} ± {100 * compared.half_width:.2f}" if name != against else ""
        counts = f"{compared.above} / {compared.below}" if name != against else ""
        row = [name, f"{statistics.mean(values.values()):.4f}", *(extra or {}).get(name, []), gap, counts]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _units(at: Mapping[Depth, Sequence[Result]], rule: str) -> str:
    """One row per task and backbone, one column per depth and views."""
    columns = {
        f"{_NAMES[depth]}, {_LABELS[views]}": unit_means(_with(views, fits), rule)
        for depth, fits in at.items()
        for views in _DEPTHS[depth]
    }
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for backbone in BACKBONES:
        for task in sorted(TASKS):
            unit = task, backbone
            if any(unit in values for values in columns.values()):
                row = [f"{values[unit]:.3f}" if unit in values else "" for values in columns.values()]
                lines.append(f"| {task}, {backbone[-5:].capitalize()} | {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what defaults.py wrote")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="leave out tasks that begin with it")
    given = parser.parse_args()
    results = [result for result in read(given.results) if "error" not in result]
    print(page([result for result in results if not result["task"].startswith(tuple(given.without))]))


if __name__ == "__main__":
    main()

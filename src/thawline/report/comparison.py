"""Compare groups of runs: score, cost, difference from a baseline, and the Pareto front.

Only runs on the same images are compared, because scores on different test images are not comparable.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.amounts import plural
from thawline.errors import UserError
from thawline.report.collect import Run
from thawline.report.estimates import Estimate, estimate, paired_difference, pareto_front
from thawline.report.groups import RunGroup, group_runs
from thawline.settings.imbalance_setting import SUGGESTED_FROM

BALANCED = "test/balanced_accuracy"
COSTS = ("wall_s", "fit_s", "train_flops", "peak_memory_bytes")  # of run.json's section `cost`


@dataclass(frozen=True)
class Row:
    """One group.

    Attributes:
        score: The metric over the seeds.
        difference: From the baseline, over common seeds; None without a baseline.
        costs: Name of a cost -> its median over the seeds; NaN if no run has it.
        efficient: Names of the costs for which the group is on the Pareto front of cost and score.
        verified: Whether every run verified its frozen stages; None if a run did not check.
        balanced: The test's balanced accuracy over the seeds, where the classes differ in size; else None.
    """

    group: RunGroup
    score: Estimate
    difference: Estimate | None
    costs: dict[str, float]
    efficient: frozenset[str]
    verified: bool | None
    balanced: Estimate | None = None


@dataclass(frozen=True)
class Comparison:
    """Rows of runs on the same images, the best score first.

    Attributes:
        data: Name of the images.
        baseline: Name of the group that the others are compared with.
    """

    data: str
    metric: str
    rows: list[Row]
    baseline: str | None


def compare(runs: Sequence[Run], *, metric: str, baseline: Path | None = None) -> list[Comparison]:
    """Group the runs and compare the groups: one comparison for each set of images, in the order of the runs.

    Args:
        metric: A metric that every run has.
        baseline: Folder of one of the runs; its group is the baseline of the groups on the same images.
    Raises:
        UserError: `baseline` is not among the runs.
    """
    by_images: dict[str, list[Run]] = {}
    for run in runs:
        by_images.setdefault(f"{run.record.data.name} {run.record.data.fingerprint}", []).append(run)
    grouped = group_runs(list(by_images.values()))
    reference = _group_of(baseline, [group for groups in grouped for group in groups]) if baseline else None
    names = _data_names([same_images[0] for same_images in by_images.values()])
    return [_compared(name, groups, metric, reference) for name, groups in zip(names, grouped, strict=True)]


def _compared(data: str, groups: Sequence[RunGroup], metric: str, reference: RunGroup | None) -> Comparison:
    """`reference` is the baseline if it is one of the groups."""
    base = next((group for group in groups if group is reference), None)
    scores = [estimate([run.record.metrics[metric] for run in group.runs]) for group in groups]
    means, better = [score.mean for score in scores], higher_is_better(metric)
    costs = {name: [_median(group, name) for group in groups] for name in COSTS}
    fronts = {name: pareto_front(values, means, higher_is_better=better) for name, values in costs.items()}
    rows = []
    for index, group in enumerate(groups):
        difference = _difference(group, base, metric) if base else None
        group_costs = {name: costs[name][index] for name in COSTS}
        efficient = frozenset(name for name in COSTS if fronts[name][index])
        balanced = None if metric == BALANCED else _balanced(group)
        rows.append(Row(group, scores[index], difference, group_costs, efficient, _verified(group), balanced))
    rows.sort(key=lambda row: row.score.mean, reverse=better)
    return Comparison(data, metric, rows, base.name if base else None)


def _data_names(runs: Sequence[Run]) -> list[str]:
    """Names of the images of each run; with the fingerprint if name and number of images are the same for two."""
    data = [run.record.data for run in runs]
    plain = [
        f"{part.name}: {plural(part.num_train, 'training image')}" if part.num_train else part.name for part in data
    ]
    return [
        f"{name} ({part.fingerprint[:8]})" if plain.count(name) > 1 else name
        for name, part in zip(plain, data, strict=True)
    ]


def higher_is_better(metric: str) -> bool:
    return not metric.endswith("loss")


def _group_of(folder: Path, groups: Sequence[RunGroup]) -> RunGroup:
    resolved = folder.resolve()
    for group in groups:
        if any(run.folder == resolved or run.folder.name == folder.name for run in group.runs):
            return group
    known = ", ".join(run.folder.name for group in groups for run in group.runs[:1])
    raise UserError(f"--baseline {folder}: not among the runs compared; one run of each group: {known}")


def _difference(group: RunGroup, reference: RunGroup, metric: str) -> Estimate:
    values, base = ({run.record.seed: run.record.metrics[metric] for run in g.runs} for g in (group, reference))
    return paired_difference(values, base)


def _median(group: RunGroup, cost: str) -> float:
    known = [value for run in group.runs if (value := getattr(run.record.cost, cost))]
    return statistics.median(known) if known else math.nan


def _verified(group: RunGroup) -> bool | None:
    verified = [run.record.freeze.verified for run in group.runs]
    return None if None in verified else all(verified)


def _balanced(group: RunGroup) -> Estimate | None:
    records = [run.record for run in group.runs]
    imbalanced = any(record.classes.imbalance >= SUGGESTED_FROM for record in records)
    known = [record.metrics[BALANCED] for record in records if BALANCED in record.metrics]
    return estimate(known) if imbalanced and known else None

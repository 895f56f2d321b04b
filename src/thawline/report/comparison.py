"""Groups of runs side by side: how well, at what cost, how much better than a baseline, and who is not dominated.

Only runs on the same images are set side by side: scores on different test images say nothing about each other.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.errors import UserError
from thawline.report.collect import Run
from thawline.report.estimates import Estimate, estimate, paired_difference, pareto_front
from thawline.report.groups import RunGroup, group_runs

COSTS = ("fit_s", "train_flops", "peak_memory_bytes")  # of run.json's section `cost`


@dataclass(frozen=True)
class Row:
    """One group.

    Attributes:
        score: The metric over the seeds.
        difference: From the baseline, over common seeds; None where there is no baseline.
        costs: Name of a cost -> its median over the seeds; NaN where no run tells it.
        efficient: Names of the costs for which the group is on the Pareto front with its score.
        verified: Whether every run proved what was frozen; None where one did not check.
    """

    group: RunGroup
    score: Estimate
    difference: Estimate | None
    costs: dict[str, float]
    efficient: frozenset[str]
    verified: bool | None


@dataclass(frozen=True)
class Comparison:
    """Rows of runs on the same images, the best score first.

    Attributes:
        data: What the images are.
        baseline: Name of the group that the others are compared with.
    """

    data: str
    metric: str
    rows: list[Row]
    baseline: str | None


def compare(runs: Sequence[Run], *, metric: str, baseline: Path | None = None) -> list[Comparison]:
    """Group the runs and set them side by side: a comparison for each set of images, in the order of the runs.

    Args:
        metric: One that every run has.
        baseline: Folder of a run among them; the others on its images are compared with its group.

    Raises:
        UserError: `baseline` is not among the runs.
    """
    by_images: dict[str, list[Run]] = {}
    for run in runs:
        by_images.setdefault(f"{run.record.data.name} {run.record.data.fingerprint}", []).append(run)
    grouped = [group_runs(own) for own in by_images.values()]
    reference = _group_of(baseline, [group for groups in grouped for group in groups]) if baseline else None
    names = _data_names([own[0] for own in by_images.values()])
    return [_compared(name, groups, metric, reference) for name, groups in zip(names, grouped, strict=True)]


def _compared(data: str, groups: Sequence[RunGroup], metric: str, reference: RunGroup | None) -> Comparison:
    """`reference` counts where it is one of the groups."""
    base = next((group for group in groups if group is reference), None)
    scores = [estimate([run.record.metrics[metric] for run in group.runs]) for group in groups]
    costs = [{name: _median(group, name) for name in COSTS} for group in groups]
    better = higher_is_better(metric)
    fronts = {
        name: pareto_front([own[name] for own in costs], [score.mean for score in scores], higher_is_better=better)
        for name in COSTS
    }
    rows = [
        Row(
            group,
            scores[index],
            _difference(group, base, metric) if base else None,
            costs[index],
            frozenset(name for name in COSTS if fronts[name][index]),
            _verified(group),
        )
        for index, group in enumerate(groups)
    ]
    rows.sort(key=lambda row: row.score.mean, reverse=better)
    return Comparison(data, metric, rows, base.name if base else None)


def _data_names(runs: Sequence[Run]) -> list[str]:
    """Of one run each; with the fingerprint where the name and the number of images do not tell them apart."""
    data = [run.record.data for run in runs]
    plain = [
        f"{section.name}: {section.num_train:,} training images" if section.num_train else section.name
        for section in data
    ]
    return [
        f"{name} ({section.fingerprint[:8]})" if plain.count(name) > 1 else name
        for name, section in zip(plain, data, strict=True)
    ]


def higher_is_better(metric: str) -> bool:
    return not metric.endswith("loss")


def _group_of(folder: Path, groups: Sequence[RunGroup]) -> RunGroup:
    wanted = folder.resolve()
    for group in groups:
        if any(run.folder == wanted or run.folder.name == folder.name for run in group.runs):
            return group
    known = ", ".join(run.folder.name for group in groups for run in group.runs[:1])
    raise UserError(f"--baseline {folder}: not among the runs compared; one run of each group: {known}")


def _difference(group: RunGroup, reference: RunGroup, metric: str) -> Estimate:
    own, base = ({run.record.seed: run.record.metrics[metric] for run in one.runs} for one in (group, reference))
    return paired_difference(own, base)


def _median(group: RunGroup, cost: str) -> float:
    """Of the runs that tell it; NaN where none does."""
    known = [value for run in group.runs if (value := getattr(run.record.cost, cost))]
    return statistics.median(known) if known else math.nan


def _verified(group: RunGroup) -> bool | None:
    found = [run.record.freeze.verified for run in group.runs]
    return None if None in found else all(found)

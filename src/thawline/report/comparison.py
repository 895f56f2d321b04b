"""Groups of runs side by side: how well, at what cost, how much better than a baseline, and who is not dominated."""

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
        costs: Name of a cost -> its median over the seeds.
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
    """Rows, the best score first."""

    metric: str
    rows: list[Row]
    baseline: str | None

    @property
    def higher_is_better(self) -> bool:
        return higher_is_better(self.metric)


def compare(runs: Sequence[Run], *, metric: str, baseline: Path | None = None) -> Comparison:
    """Group the runs and set them side by side.

    Args:
        metric: One that every run has.
        baseline: Folder of a run among them; the others are compared with its group.
    """
    groups = group_runs(runs)
    reference = _group_of(baseline, groups) if baseline else None
    scores = [estimate([run.record.metrics[metric] for run in group.runs]) for group in groups]
    costs = [{name: _median(group, name) for name in COSTS} for group in groups]
    fronts = {
        name: pareto_front(
            [own[name] for own in costs], [score.mean for score in scores], higher_is_better=higher_is_better(metric)
        )
        for name in COSTS
    }
    rows = [
        Row(
            group,
            scores[index],
            _difference(group, reference, metric) if reference else None,
            costs[index],
            frozenset(name for name in COSTS if fronts[name][index]),
            _verified(group),
        )
        for index, group in enumerate(groups)
    ]
    rows.sort(key=lambda row: row.score.mean, reverse=higher_is_better(metric))
    return Comparison(metric, rows, reference.name if reference else None)


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
    return statistics.median(float(run.record.cost.get(cost, 0.0)) for run in group.runs)


def _verified(group: RunGroup) -> bool | None:
    found = [run.record.freeze.get("verified") for run in group.runs]
    return None if None in found else all(found)

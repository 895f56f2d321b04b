"""Which weights a rule takes, and how options compare over tasks and backbones, in pairs."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t as student

Result = Mapping[str, Any]  # one fit: its key, and per epoch val_accuracy, val_loss, test_accuracy, test_loss
Unit = tuple[str, str]  # task, backbone
_CONFIDENCE = 0.95


def _last(fit: Result) -> int:
    return len(fit["val_loss"]) - 1


def _lowest_loss(fit: Result) -> int:
    return min(range(len(fit["val_loss"])), key=lambda epoch: fit["val_loss"][epoch])


def _accuracy_then_loss(fit: Result) -> int:
    scores = list(zip(fit["val_accuracy"], (-loss for loss in fit["val_loss"]), strict=True))
    return scores.index(max(scores))


def _first_accuracy(fit: Result) -> int:
    accuracies: list[float] = fit["val_accuracy"]
    return accuracies.index(max(accuracies))


# Rule -> the epoch, counted from 0, whose weights it takes. The cheapest first: the last weights need no comparison.
RULES: dict[str, Callable[[Result], int]] = {
    "last weights": _last,
    "lowest validation loss": _lowest_loss,
    "best validation accuracy, of equals the lower loss": _accuracy_then_loss,
    "best validation accuracy, of equals the first": _first_accuracy,
}


def taken(fit: Result, rule: str, score: str) -> float:
    """A score of the weights that the rule takes, such as `test_accuracy`."""
    return float(fit[score][RULES[rule](fit)])


def complete(results: Sequence[Result], options: Sequence[str]) -> list[Result]:
    """Of fits at one depth, those of a task, backbone and seed for which every one of the views is there."""
    blocks = defaultdict(list)
    for fit in results:
        if fit["views"] in options:
            blocks[fit["task"], fit["backbone"], fit["seed"]].append(fit)
    whole = [block for block in blocks.values() if {fit["views"] for fit in block} == set(options)]
    return [fit for block in whole for fit in block]


def unit_means(fits: Iterable[Result], rule: str, *, score: str = "test_accuracy") -> dict[Unit, float]:
    """Mean score of the weights that the rule takes, over the fits of each task and backbone: seeds and all else."""
    by_unit = defaultdict(list)
    for fit in fits:
        by_unit[fit["task"], fit["backbone"]].append(taken(fit, rule, score))
    return {unit: statistics.mean(values) for unit, values in by_unit.items()}


@dataclass(frozen=True)
class Difference:
    """Paired over units: the mean with its interval, and on how many units it is above and below 0."""

    mean: float
    half_width: float  # of the 95 % interval, Student's t over the units; infinite for one unit
    above: int
    below: int

    @property
    def is_settled(self) -> bool:
        """Whether the interval leaves 0 out."""
        return abs(self.mean) > self.half_width


def difference(ours: Mapping[Unit, float], theirs: Mapping[Unit, float]) -> Difference:
    """`ours` minus `theirs`, over the units that both have."""
    differences = [ours[unit] - theirs[unit] for unit in ours if unit in theirs]
    half = math.inf
    if (count := len(differences)) > 1:
        half = float(student.ppf((1 + _CONFIDENCE) / 2, count - 1)) * statistics.stdev(differences) / math.sqrt(count)
    return Difference(
        statistics.mean(differences), half, sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    )


def decided(options: Mapping[str, Mapping[Unit, float]]) -> str:
    """The best in the mean; or the cheapest of those from which it is not told apart.

    Args:
        options: The cheapest first; values per unit, more is better.
    """
    best = max(options, key=lambda name: statistics.mean(options[name].values()))
    level = (name for name in options if not difference(options[best], options[name]).is_settled)
    return best if len(options[best]) < 2 else next(level)

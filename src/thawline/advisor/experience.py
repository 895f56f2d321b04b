"""What full sweeps on other tasks showed: how accurate each option is likely to be, given the evidence on this one.

`measured.json` holds, for every task and backbone that `scripts/regret.py` swept, the evidence and the test accuracy of
every option. For each option a small ridge regression leads from the one to the other; its error is known from tasks
that were left out.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from thawline.advisor.evidence import Evidence

_Array = NDArray[np.float64]
_RIDGE = 1.0  # penalty on weights of standardized features, in rows; chosen before any result was seen
_LEAST_ERROR = 0.5  # images; an accuracy of 1 on N of them is taken as 1 - 0.5 / N, so that its logit is finite
_KNOWN_TO = 1e-3  # accuracy; the same for measured ones


@dataclass(frozen=True)
class Measured:
    """One sweep: the evidence on a task, and what each option reached."""

    task: str
    backbone: str
    evidence: Evidence
    accuracy: dict[str, float]  # option -> mean test accuracy over the seeds
    rate: dict[str, float | None]  # option -> the learning rate that validated best


def load_measured() -> list[Measured]:
    """The sweeps that ship with Thawline."""
    body = json.loads((files("thawline.advisor") / "measured.json").read_text(encoding="utf-8"))
    return [Measured(**{**row, "evidence": Evidence(**row["evidence"])}) for row in body]


@dataclass(frozen=True)
class Expected:
    """Test accuracy of one option, in logits: log(p / (1 - p)).

    Attributes:
        logit: The likeliest.
        residuals: Errors of the same prediction on tasks that were left out, in a fixed order.
    """

    option: str
    logit: float
    residuals: _Array

    @property
    def accuracy(self) -> float:
        return _probability(self.logit)

    def interval(self) -> tuple[float, float]:
        """Bounds that hold with a probability of about 80 %, by the spread of the residuals."""
        width = 1.28 * float(np.sqrt(np.mean(self.residuals**2)))  # 1.28: the normal distribution's 90 % quantile
        return _probability(self.logit - width), _probability(self.logit + width)


def expect(evidence: Evidence, options: Sequence[str], measured: Sequence[Measured]) -> list[Expected]:
    """What each option is likely to reach on a task with this evidence."""
    assert len({row.task for row in measured}) > 1, "of one task nothing can be left out"
    features = np.stack([_features(row.evidence) for row in measured])  # (M, F)
    here = _features(evidence)
    tasks = [row.task for row in measured]
    found = []
    for option in options:
        gains = np.array([_logit(row.accuracy[option], _KNOWN_TO) - _base(row.evidence) for row in measured])
        left_out = [_predict(features, gains, tasks, features[i], without=task) for i, task in enumerate(tasks)]
        predicted = _predict(features, gains, tasks, here, without=None)
        found.append(Expected(option, _base(evidence) + predicted, gains - np.array(left_out)))
    return found


def _predict(features: _Array, gains: _Array, tasks: Sequence[str], here: _Array, *, without: str | None) -> float:
    """Ridge regression of the gains on the standardized features, at `here`; an unknown feature counts as mean."""
    rows = np.array([task != without for task in tasks])
    known, targets = features[rows], gains[rows]
    mean = np.nanmean(known, 0)
    std = np.nanstd(known, 0)
    std[std == 0] = 1.0
    values, at = (np.nan_to_num((x - mean) / std) for x in (known, here))
    penalized = values.T @ values + _RIDGE * np.eye(values.shape[1])
    weights = np.linalg.solve(penalized, values.T @ (targets - targets.mean()))
    return float(targets.mean() + at @ weights)


def _features(evidence: Evidence) -> _Array:
    """What the gain over the probes may depend on, (F,); NaN where it is not known."""
    base = _base(evidence)
    least = _LEAST_ERROR / evidence.num_probed
    return np.array(
        [
            base,
            _logit(evidence.all_stages, least) - _logit(evidence.last, least),
            _logit(evidence.best, least) - _logit(evidence.last, least),
            math.nan if evidence.distance is None else evidence.distance,
            math.log10(evidence.num_train),
            math.log10(evidence.num_train / evidence.num_classes),
        ]
    )


def _base(evidence: Evidence) -> float:
    """Logit of the better of the two probes that are options themselves."""
    return _logit(max(evidence.last, evidence.all_stages), _LEAST_ERROR / evidence.num_probed)


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _logit(accuracy: float, least: float) -> float:
    clipped = min(max(accuracy, least), 1 - least)
    return math.log(clipped / (1 - clipped))

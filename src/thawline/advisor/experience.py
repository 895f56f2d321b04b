"""What full sweeps on other tasks showed: how accurate each option is likely to be, given the evidence on this one.

`measured.json` holds, for every task and backbone that `scripts/evidence/regret.py` swept, the evidence and the test
accuracy of every option. An option starts from what was measured of it here, by its probe or by the pilot, and gains
on top what it gained elsewhere; the error of that is known from tasks that were left out.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from thawline.advisor.evidence import Evidence

_Array = NDArray[np.float64]
# Penalty on the weights of standardized features, in rows. Chosen: what holds if gains scatter by 0.4 logits around the
# regression and weights by 0.2 around zero (0.4² / 0.2²).
_RIDGE = 4.0
_LEAST_ERROR = 0.5  # images; an accuracy of 1 on N of them is taken as 1 - 0.5 / N, so that its logit is finite
_KNOWN_TO = 1e-3  # accuracy; the same for measured ones
# Share of the errors beyond each bound. Measured on kinds of tasks that were left out: the bounds held in 76 % of cases
# for the first option (docs/regret.md) and in 83 % for all; with a share of 0.1 in 74 and 77 %.
_BEYOND_BOUND = 0.075


@dataclass(frozen=True)
class Measured:
    """One sweep: the evidence on a task, and what each option reached."""

    task: str
    backbone: str
    evidence: Evidence
    accuracy: dict[str, float]  # option -> mean test accuracy over the seeds, at the rate that the advice names

    @property
    def kind(self) -> str:
        """Tasks of the same images, or of the same photographs, are of one kind: the first word of their names."""
        return self.task.split("_")[0]


def load_measured() -> list[Measured]:
    """The sweeps that ship with Thawline."""
    body = json.loads((files("thawline.advisor") / "measured.json").read_text(encoding="utf-8"))
    return [Measured(**{**row, "evidence": Evidence(**row["evidence"])}) for row in body]


@dataclass(frozen=True)
class Expected:
    """Test accuracy of one option, in logits: log(p / (1 - p)).

    Attributes:
        logit: The likeliest.
        start: What it starts from: the probe on the last stage, that on all stages, or the pilot.
        sampling_error: Standard error of that start, for the number of images that it was measured on.
        residuals: Errors of the same prediction on tasks of kinds that were left out, in a fixed order.
    """

    option: str
    logit: float
    start: str
    sampling_error: float
    residuals: _Array

    @property
    def accuracy(self) -> float:
        return _probability(self.logit)

    def interval(self) -> tuple[float, float]:
        """Bounds that hold in about four cases out of five: errors made elsewhere, and those of few images here."""
        low, high = np.quantile(self.residuals, (_BEYOND_BOUND, 1 - _BEYOND_BOUND))
        few = -NormalDist().inv_cdf(_BEYOND_BOUND) * self.sampling_error
        return (
            _probability(self.logit - math.hypot(min(low, 0.0), few)),
            _probability(self.logit + math.hypot(max(high, 0.0), few)),
        )

    def confidence_over(self, other: "Expected") -> float:
        """Probability that this option does better: with the errors made elsewhere, and those of few images here.

        Errors of the two starts count as independent, though the same images are behind both: rather unsure than sure.
        """
        leads = self.logit - other.logit + self.residuals - other.residuals
        if self.start == other.start:
            return float((leads > 0).mean())
        few = NormalDist(0.0, math.hypot(self.sampling_error, other.sampling_error))
        return float(np.mean([few.cdf(lead) for lead in leads]))


def expect(evidence: Evidence, options: Sequence[str], measured: Sequence[Measured]) -> list[Expected]:
    """What each option is likely to reach on a task with this evidence."""
    kinds = [row.kind for row in measured]
    assert len(set(kinds)) > 1, "of one kind of task nothing can be left out"
    found = []
    for option in options:
        features = np.array([_catching_up(option, row.evidence, measured) for row in measured])
        starts = np.array([_start(option, row.evidence, measured) for row in measured])
        gains = np.array([_logit(row.accuracy[option], _KNOWN_TO) for row in measured]) - starts
        left_out = [_predict(features, gains, kinds, features[i], without=kind) for i, kind in enumerate(kinds)]
        gain = _predict(features, gains, kinds, _catching_up(option, evidence, measured), without=None)
        logit = _start(option, evidence, measured) + gain
        start, error = _start_of(option, evidence)
        found.append(Expected(option, logit, start, error, gains - np.array(left_out)))
    return found


def _start_of(option: str, evidence: Evidence) -> tuple[str, float]:
    """Name of what the option starts from, and the standard error of its logit: that of a share of so many images."""
    trained = ("last", evidence.last) if evidence.pilot is None else ("pilot", evidence.pilot)
    probes = {"feature_extraction": ("last", evidence.last), "multi_layer_probe": ("all_stages", evidence.all_stages)}
    name, accuracy = probes.get(option, trained)
    least = _LEAST_ERROR / evidence.num_probed
    share = min(max(accuracy, least), 1 - least)
    return name, 1 / math.sqrt(evidence.num_probed * share * (1 - share))


def _start(option: str, evidence: Evidence, measured: Sequence[Measured]) -> float:
    """Logit of what was measured of the option itself, or of its nearest relative: a probe, or the pilot."""
    accuracy = {"feature_extraction": evidence.last, "multi_layer_probe": evidence.all_stages}.get(option)
    if accuracy is not None:
        return _logit(accuracy, _LEAST_ERROR / evidence.num_probed)
    if evidence.pilot is not None:
        return _logit(evidence.pilot, _LEAST_ERROR / evidence.num_probed)
    known = [row.evidence for row in measured if row.evidence.pilot is not None]
    usual = [_start("a trained one", one, ()) - _start("feature_extraction", one, ()) for one in known]
    return _start("feature_extraction", evidence, ()) + float(np.mean(usual))


def _catching_up(option: str, evidence: Evidence, measured: Sequence[Measured]) -> float:
    """What training more than the pilot may catch up with: the lead of all stages over the pilot, in logits."""
    if option in ("feature_extraction", "multi_layer_probe"):
        return 0.0
    return _start("multi_layer_probe", evidence, measured) - _start(option, evidence, measured)


def _predict(features: _Array, gains: _Array, kinds: Sequence[str], here: float, *, without: str | None) -> float:
    """Ridge regression of the gains on the standardized feature, at `here` or the nearest value that was seen."""
    rows = np.array([kind != without for kind in kinds])
    known, targets = features[rows], gains[rows]
    std = known.std() or 1.0
    values, at = ((x - known.mean()) / std for x in (known, np.clip(here, known.min(), known.max())))
    slope = values @ (targets - targets.mean()) / (values @ values + _RIDGE)
    return float(targets.mean() + slope * at)


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _logit(accuracy: float, least: float) -> float:
    clipped = min(max(accuracy, least), 1 - least)
    return math.log(clipped / (1 - clipped))

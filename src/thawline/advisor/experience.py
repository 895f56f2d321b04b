"""The likely accuracy of each option on a target, from its evidence and from full sweeps on other tasks.

`measured.json` holds, for every task and backbone that `scripts/evidence/regret.py` swept, the evidence and the test
accuracy of every option. The prediction for an option is the accuracy of its probe, or of the pilot, on this target,
plus the gain over it that the option had on other tasks. Leaving tasks out gives the errors of the prediction.
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
# Penalty on the weights of standardized features, in rows. Chosen: right if gains scatter by 0.4 logits around the
# regression and weights by 0.2 around zero (0.4² / 0.2²).
_RIDGE = 4.0
_LEAST_ERROR = 0.5  # images; an accuracy of 1 on N images counts as 1 - 0.5 / N, so that its logit is finite
_KNOWN_TO = 1e-3  # accuracy; the same for the measured accuracies of options
# Share of the errors beyond each bound. Measured on left-out kinds of tasks: the bounds held in 76 % of cases for the
# best option (docs/regret.md) and in 83 % for all; with a share of 0.1 in 74 and 77 %.
_BEYOND_BOUND = 0.075


@dataclass(frozen=True)
class Measured:
    """One sweep: the evidence on a task, and the accuracy of each option."""

    task: str
    backbone: str
    evidence: Evidence
    accuracy: dict[str, float]  # option -> mean test accuracy over the seeds, at the advised learning rate

    @property
    def kind(self) -> str:
        """The first word of the name; tasks of the same images or photographs have the same kind."""
        return self.task.split("_")[0]


def load_measured() -> list[Measured]:
    """The sweeps that ship with Thawline."""
    body = json.loads((files("thawline.advisor") / "measured.json").read_text(encoding="utf-8"))
    return [Measured(**{**row, "evidence": Evidence(**row["evidence"])}) for row in body]


@dataclass(frozen=True)
class Expected:
    """Test accuracy of one option, in logits: log(p / (1 - p)).

    Attributes:
        logit: The prediction.
        start: The measurement it starts from: `last` or `all_stages` (probes), or `pilot`.
        sampling_error: Standard error of the start, for the number of images that it was measured on.
        residuals: Errors of the same prediction for the measured tasks, each with its kind left out, in their order.
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
        """Bounds that hold in about four of five cases, from errors on other tasks and the number of images here."""
        low, high = np.quantile(self.residuals, (_BEYOND_BOUND, 1 - _BEYOND_BOUND))
        few = -NormalDist().inv_cdf(_BEYOND_BOUND) * self.sampling_error
        return (
            _probability(self.logit - math.hypot(min(low, 0.0), few)),
            _probability(self.logit + math.hypot(max(high, 0.0), few)),
        )

    def confidence_over(self, other: "Expected") -> float:
        """Probability that this option is better, from errors on other tasks and the number of images here.

        Errors of two different starts count as independent, though both come from the same images. This makes the
        probability rather too low than too high.
        """
        leads = self.logit - other.logit + self.residuals - other.residuals
        if self.start == other.start:
            return float((leads > 0).mean())
        few = NormalDist(0.0, math.hypot(self.sampling_error, other.sampling_error))
        return float(np.mean([few.cdf(lead) for lead in leads]))


def expect(evidence: Evidence, options: Sequence[str], measured: Sequence[Measured]) -> list[Expected]:
    """The likely accuracy of each option on a task with this evidence."""
    kinds = [row.kind for row in measured]
    assert len(set(kinds)) > 1, "of one kind of task nothing can be left out"
    expected = []
    for option in options:
        features = np.array([_catching_up(option, row.evidence, measured) for row in measured])
        starts = np.array([_start(option, row.evidence, measured) for row in measured])
        gains = np.array([_logit(row.accuracy[option], _KNOWN_TO) for row in measured]) - starts
        left_out = [_predict(features, gains, kinds, features[i], without=kind) for i, kind in enumerate(kinds)]
        gain = _predict(features, gains, kinds, _catching_up(option, evidence, measured), without=None)
        logit = _start(option, evidence, measured) + gain
        start, error = _start_of(option, evidence)
        expected.append(Expected(option, logit, start, error, gains - np.array(left_out)))
    return expected


def _start_of(option: str, evidence: Evidence) -> tuple[str, float]:
    """Name of the measurement that the option starts from, and the standard error of its logit (of a share)."""
    trained = ("last", evidence.last) if evidence.pilot is None else ("pilot", evidence.pilot)
    probes = {"feature_extraction": ("last", evidence.last), "multi_layer_probe": ("all_stages", evidence.all_stages)}
    name, accuracy = probes.get(option, trained)
    least = _LEAST_ERROR / evidence.num_probed
    share = min(max(accuracy, least), 1 - least)
    return name, 1 / math.sqrt(evidence.num_probed * share * (1 - share))


def _start(option: str, evidence: Evidence, measured: Sequence[Measured]) -> float:
    """Logit of the measurement that the option starts from: its probe, or the pilot."""
    accuracy = {"feature_extraction": evidence.last, "multi_layer_probe": evidence.all_stages}.get(option)
    if accuracy is not None:
        return _logit(accuracy, _LEAST_ERROR / evidence.num_probed)
    if evidence.pilot is not None:
        return _logit(evidence.pilot, _LEAST_ERROR / evidence.num_probed)
    known = [row.evidence for row in measured if row.evidence.pilot is not None]
    usual = [_start("pilot", here, ()) - _start("feature_extraction", here, ()) for here in known]
    return _start("feature_extraction", evidence, ()) + float(np.mean(usual))


def _catching_up(option: str, evidence: Evidence, measured: Sequence[Measured]) -> float:
    """The lead of the probe on all stages over the pilot, in logits: more training may make up for it."""
    if option in ("feature_extraction", "multi_layer_probe"):
        return 0.0
    return _start("multi_layer_probe", evidence, measured) - _start(option, evidence, measured)


def _predict(features: _Array, gains: _Array, kinds: Sequence[str], here: float, *, without: str | None) -> float:
    """Ridge regression of the gains on the standardized feature, at `here`, clipped to the range of the rows."""
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

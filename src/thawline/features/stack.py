"""A stack of ridge probes, averaged: one of every stage and grid, and one of all stages at each grid; solved for."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thawline.features.extract import Tap
from thawline.features.greedy_shares import greedy_shares, worth
from thawline.features.left_out import ABSENT_LOGIT, Targets
from thawline.features.ridge_probe import PENALTIES, Linear, Probe, RidgeProbe, scaled_rows
from thawline.features.shares import fit_shares
from thawline.features.temperature import fit_temperature
from thawline.models.pooling import CLASS_TOKEN
from thawline.progress_bar import counted
from thawline.settings.select_setting import AUTO, VAL_LOSS

_START = 5.0  # of the search for the first temperature
FOLDS = 5  # of the rows, for an accuracy that no choice has seen
_RISES = 2  # of the loss from one penalty to the next that end the search
_WORST = (-math.inf, -math.inf)


@dataclass(frozen=True)
class Setting:
    """What is free in one probe of a stack.

    Attributes:
        penalty: In units of the mean squared norm of a row.
        temperature: Factor of the scores.
        share: In the average.
    """

    penalty: float
    temperature: float
    share: float = 0.0


@dataclass(frozen=True)
class Stack:
    """Fitted probes with their settings, in the order of `probe_taps`.

    Attributes:
        judged: Probabilities that every probe gives rows that it was not fitted on, (M, N, K), float32. The settings
            have the lowest log loss on them.
        probabilities: The average for the same rows, (N, K), float32; for each fold of them the penalties and shares
            are those with the lowest log loss on the other folds, so that no row is judged by what it helped to set.
        labels: Classes of these rows, (N,).
    """

    settings: list[Setting]
    linears: list[Linear]
    judged: Tensor
    probabilities: Tensor
    labels: Tensor

    @property
    def accuracy(self) -> float:
        """Of the average on these rows."""
        return float((self.probabilities.argmax(1) == self.labels).double().mean())

    @property
    def accuracies(self) -> list[float]:
        """Of every probe on the rows that it was not fitted on."""
        return [float((p.argmax(1) == self.labels).double().mean()) for p in self.judged]

    def predict(self, features: Mapping[Tap, Tensor]) -> Tensor:
        """Probabilities of rows, (N, K), float64."""
        parts = [
            setting.share * (setting.temperature * linear(features)).softmax(1)
            for setting, linear in zip(self.settings, self.linears, strict=True)
        ]
        return sum(parts[1:], start=parts[0])

    def scaled(self) -> list[tuple[Tensor, Tensor]]:
        """For a `StackedHead`: weights (K, D_m) and biases (K,) of every probe's logits, float32."""
        scaled = []
        for setting, linear in zip(self.settings, self.linears, strict=True):
            weight = torch.cat(list(linear.weights.values())).T
            scaled.append(((setting.temperature * weight).float(), (setting.temperature * linear.bias).float()))
        return scaled


def probe_taps(taps: Sequence[Tap]) -> list[tuple[Tap, ...]]:
    """What every probe of a stack reads: each tap alone, then for each grid all stages at the finest up to it.

    Where there are class tokens, the last probe reads those of all stages.
    """
    grids = sorted({tap.grid or 1 for tap in taps})
    every = [tuple({tap.cut: tap for tap in taps if (tap.grid or 1) <= grid}.values()) for grid in grids]
    tokens = tuple(tap for tap in taps if tap.grid == CLASS_TOKEN)
    return [*((tap,) for tap in taps), *(together for together in (*every, tokens) if len(together) > 1)]


def solve_stack(
    features: Mapping[Tap, Tensor],
    targets: Targets,
    *,
    others: tuple[Mapping[Tap, Tensor], Targets] | None = None,
    select: str = AUTO,
) -> Stack:
    """Fit every probe on all rows. What is free is set by the scores of every row by the fits on the others.

    Args:
        features: Tap -> pooled features, (N, D), any float type; by cut, then by grid.
        others: Rows that set what is free instead, where the N rows do not represent new ones.
        select: See `stack_of`.
    Raises:
        UserError: A feature is not finite.
    """
    probes = _ridge_probes(features, targets)
    if others is None:
        return stack_of(probes, targets, select=select)
    return stack_of(probes, others[1], rows=others[0], select=select)


def stack_of(
    probes: Iterable[Probe], judging: Targets, *, rows: Mapping[Tap, Tensor] | None = None, select: str = AUTO
) -> Stack:
    """Set what is free in probes, each fitted on the same rows.

    Temperatures have the lowest log loss, in which classes weigh alike if `judging.balanced`.

    Args:
        judging: Of the rows that the probes score when these are left out; or of `rows`, which then set what is free.
        select: By which score penalties and shares are set, one of `SELECT`; `auto` is the same log loss.
    """
    folds = judging.folds(FOLDS)
    settings, linears, judged, nested = [], [], [], []
    for probe in probes:
        scores = probe.left_out_scores() if rows is None else (probe.linear(penalty)(rows) for penalty in PENALTIES)
        setting, probabilities, of_folds = _best_setting(scores, judging, folds, select=select)
        settings.append(setting)
        judged.append(probabilities)
        nested.append(of_folds)
        linears.append(_linear(probe, setting))
    together = torch.stack(judged)
    shares = _shares(together, judging, select=select)
    settings = [replace(setting, share=share) for setting, share in zip(settings, shares.tolist(), strict=True)]
    average = _average_of_folds(torch.stack(nested), together, judging, folds, select=select)
    return Stack(settings, linears, together, average, judging.labels)


def refit_stack(stack: Stack, features: Mapping[Tap, Tensor], targets: Targets) -> Stack:
    """The same settings, and what they were judged by, with every probe fitted on other rows.

    Raises:
        UserError: A feature is not finite.
    """
    return refitted(stack, _ridge_probes(features, targets))


def refitted(stack: Stack, probes: Iterable[Probe]) -> Stack:
    """The same settings, and what they were judged by, for other fits of the same probes."""
    linears = [_linear(probe, setting) for probe, setting in zip(probes, stack.settings, strict=True)]
    return replace(stack, linears=linears)


def _ridge_probes(features: Mapping[Tap, Tensor], targets: Targets) -> Iterator[Probe]:
    """One after the other, as each takes much memory."""
    rows = scaled_rows(features, targets)
    every = probe_taps(list(features))
    for taps in counted(every, len(every), "probes solved", above=0):
        yield RidgeProbe({tap: rows[tap] for tap in taps}, targets)


def _best_setting(
    by_penalty: Iterable[Tensor], targets: Targets, folds: Tensor, *, select: str
) -> tuple[Setting, Tensor, Tensor]:
    """The best setting, its probabilities of the rows, (N, K), float32, and those by the best on the other folds.

    The loss falls and then rises with the penalty, so that two rises in a row end the search by it. By another score
    every penalty is tried, and the loss breaks ties. The temperature, one number, is that of all rows.
    """
    by, outside = _score_of(select), [targets.some(rows) for rows in _outside(folds)]
    best, most, temperature, rises = None, _WORST, _START, 0
    most_outside, nested = [_WORST] * len(outside), torch.empty(0)
    for penalty, scores in zip(PENALTIES, by_penalty, strict=False):
        temperature, loss = fit_temperature(scores, targets.labels, targets.weights, start=temperature)
        probabilities = (temperature * scores).softmax(1).float()
        worths = [worth(probabilities[r], t, by=by) for r, t in zip(_outside(folds), outside, strict=True)]
        better = torch.tensor([one > before for one, before in zip(worths, most_outside, strict=True)])
        nested = probabilities if best is None else torch.where(better[folds, None], probabilities, nested)
        most_outside = [max(pair) for pair in zip(worths, most_outside, strict=True)]
        whole = (worth(probabilities, targets, by=by)[0], -loss)
        if whole > most or best is None:
            best, most, rises = (Setting(penalty, temperature), probabilities), whole, 0
        else:
            rises += 1
        if rises == _RISES and by is None:
            break
    assert best is not None
    return *best, nested


def _shares(judged: Tensor, judging: Targets, *, select: str) -> Tensor:
    """(M,), float64."""
    if (by := _score_of(select)) is not None:
        return greedy_shares(judged, judging, by=by)
    right = torch.stack([p.gather(1, judging.labels[:, None])[:, 0] for p in judged]).double()
    return fit_shares(right, judging.weights)


def _score_of(select: str) -> str | None:
    """`val/macro_f1` -> `macro_f1`, a field of `GuessScores`; None where the log loss selects."""
    return None if select in (AUTO, VAL_LOSS) else select.partition("/")[2]


def _outside(folds: Tensor) -> list[Tensor]:
    """For every fold: which rows are not in it, (N,), bool; all, where there is one fold."""
    number = int(folds.max()) + 1
    return [folds != fold if number > 1 else folds == fold for fold in range(number)]


def _average_of_folds(nested: Tensor, judged: Tensor, targets: Targets, folds: Tensor, *, select: str) -> Tensor:
    """Average (N, K) of `nested` (M, N, K), for each fold by the shares that `judged` (M, N, K) of the others sets."""
    average = torch.empty_like(nested[0])
    for fold, outside in enumerate(_outside(folds)):
        shares = _shares(judged[:, outside], targets.some(outside), select=select)
        average[folds == fold] = torch.einsum("m,mnk->nk", shares.float(), nested[:, folds == fold])
    return average


def _linear(probe: Probe, setting: Setting) -> Linear:
    """Fitted; a class without rows gets no share of the probability."""
    linear = probe.linear(setting.penalty)
    return replace(linear, bias=torch.where(probe.class_shares == 0, ABSENT_LOGIT / setting.temperature, linear.bias))

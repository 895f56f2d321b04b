"""A stack of ridge probes, averaged: one of every stage and grid, and one of all stages at each grid; solved for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thawline.features.extract import Tap
from thawline.features.left_out import Targets
from thawline.features.ridge_probe import PENALTIES, Linear, RidgeProbe, scaled_rows
from thawline.features.shares import fit_shares
from thawline.features.temperature import fit_temperature

_START = 5.0  # of the search for the first temperature
_FOLDS = 5  # of the rows, for an accuracy that no choice has seen
_RISES = 2  # of the loss from one penalty to the next that end the search
_ABSENT_LOGIT = -30.0  # of a class without rows; the others' are above -10


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
    """What every probe of a stack reads: each tap alone, then for each grid all stages at the finest up to it."""
    grids = sorted({tap.grid or 1 for tap in taps})
    every = [tuple({tap.cut: tap for tap in taps if (tap.grid or 1) <= grid}.values()) for grid in grids]
    return [*((tap,) for tap in taps), *(at_grid for at_grid in every if len(at_grid) > 1)]


def solve_stack(
    features: Mapping[Tap, Tensor], targets: Targets, *, others: tuple[Mapping[Tap, Tensor], Targets] | None = None
) -> Stack:
    """Fit every probe on all rows. What is free is set by the scores of every row by the fits on the others.

    Args:
        features: Tap -> pooled features, (N, D), any float type; by cut, then by grid.
        others: Rows that set what is free instead, where the N rows do not represent new ones.
    Raises:
        UserError: A feature is not finite.
    """
    rows = scaled_rows(features, targets)
    judging = targets if others is None else others[1]
    folds = judging.folds(_FOLDS)
    settings, linears, judged, nested = [], [], [], []
    for taps in probe_taps(list(features)):
        probe = RidgeProbe({tap: rows[tap] for tap in taps}, targets)
        scores = probe.left_out_scores() if others is None else (probe.linear(p)(others[0]) for p in PENALTIES)
        setting, probabilities, of_folds = _least_log_loss(scores, judging, folds)
        settings.append(setting)
        judged.append(probabilities)
        nested.append(of_folds)
        linears.append(_without_absent(probe.linear(setting.penalty), targets, setting))
    right = torch.stack([p.gather(1, judging.labels[:, None])[:, 0] for p in judged]).double()
    shares = fit_shares(right, judging.weights).tolist()
    settings = [replace(setting, share=share) for setting, share in zip(settings, shares, strict=True)]
    average = _average_of_folds(torch.stack(nested), right, judging.weights, folds)
    return Stack(settings, linears, torch.stack(judged), average, judging.labels)


def refit_stack(stack: Stack, features: Mapping[Tap, Tensor], targets: Targets) -> Stack:
    """The same settings, and what they were judged by, with every probe fitted on other rows.

    Raises:
        UserError: A feature is not finite.
    """
    rows = scaled_rows(features, targets)
    linears = []
    for taps, setting in zip(probe_taps(list(features)), stack.settings, strict=True):
        probe = RidgeProbe({tap: rows[tap] for tap in taps}, targets)
        linears.append(_without_absent(probe.linear(setting.penalty), targets, setting))
    return replace(stack, linears=linears)


def _least_log_loss(by_penalty: Iterable[Tensor], targets: Targets, folds: Tensor) -> tuple[Setting, Tensor, Tensor]:
    """The best setting, its probabilities of the rows, (N, K), float32, and those by the best on the other folds.

    The loss falls and then rises with the penalty, so that two rises in a row end the search. The temperature, one
    number, is that of all rows.
    """
    best, least, temperature, rises = None, math.inf, _START, 0
    least_outside = torch.full((int(folds.max()) + 1,), math.inf, dtype=torch.float64)
    nested = torch.empty(0)
    for penalty, scores in zip(PENALTIES, by_penalty, strict=False):
        temperature, loss = fit_temperature(scores, targets.labels, targets.weights, start=temperature)
        probabilities = (temperature * scores).softmax(1)
        outside = _losses_outside(probabilities, targets, folds)
        better = (outside < least_outside)[folds, None]
        nested = probabilities.float() if best is None else torch.where(better, probabilities.float(), nested)
        least_outside = torch.minimum(outside, least_outside)
        if loss < least or best is None:
            best, least, rises = (Setting(penalty, temperature), probabilities.float()), loss, 0
        else:
            rises += 1
        if rises == _RISES:
            break
    assert best is not None
    return *best, nested


def _losses_outside(probabilities: Tensor, targets: Targets, folds: Tensor) -> Tensor:
    """Sum of the log losses of all rows outside each fold, (F,), float64."""
    right = probabilities.gather(1, targets.labels[:, None])[:, 0].clamp_min(torch.finfo(torch.float64).tiny)
    losses = -targets.weights * right.log()
    return losses.sum() - torch.zeros(int(folds.max()) + 1, dtype=torch.float64).index_add_(0, folds, losses)


def _average_of_folds(nested: Tensor, right: Tensor, weights: Tensor, folds: Tensor) -> Tensor:
    """Average (N, K) of probabilities (M, N, K), for each fold by the shares that fit the other folds best."""
    average = torch.empty_like(nested[0])
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        rest = ~inside if bool((~inside).any()) else inside
        shares = fit_shares(right[:, rest], weights[rest] / weights[rest].mean())
        average[inside] = torch.einsum("m,mnk->nk", shares.float(), nested[:, inside])
    return average


def _without_absent(linear: Linear, targets: Targets, setting: Setting) -> Linear:
    """A class without rows gets no share of the probability."""
    bias = torch.where(targets.mean == 0, _ABSENT_LOGIT / setting.temperature, linear.bias)
    return replace(linear, bias=bias)

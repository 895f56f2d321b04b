"""How right the expected accuracies are, and what a blend usually gains: what training/blend_gain.py rests on."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from judge.measurement import Entry
from judge.regret_results import Answers
from thawline.features.expected import Expected
from thawline.training.blend_gain import blend_expected


@dataclass(frozen=True)
class Gain:
    """Of a blend over its stack: mean and standard deviation over tasks."""

    mean: float
    spread: float


def usual_gain(sweeps: Sequence[Answers], *, without: str | None = None) -> Gain | None:
    """Over the sweeps, those of a kind left out; None if fewer than two are left."""
    gains = [sweep.gain for sweep in sweeps if sweep.kind != without]
    return Gain(statistics.mean(gains), statistics.stdev(gains)) if len(gains) > 1 else None


def expected_of(sweep: Answers, usual: Gain | None) -> tuple[list[Expected], list[Expected]]:
    """Accuracies to expect of the stack and of the blend, per seed.

    Args:
        usual: Gain of blends elsewhere; None takes the product's.
    """
    of_stack = [Expected(**entry["expected"]) for entry in sweep.stack]
    pairs = list(zip(of_stack, map(_right, sweep.blend), strict=True))
    if usual is None:
        return of_stack, [blend_expected(expected, *right) for expected, right in pairs]
    return of_stack, [blend_expected(e, *right, usual=usual.mean, spread=usual.spread) for e, right in pairs]


def _right(entry: Entry) -> tuple[Tensor, Tensor]:
    """Whether blend and stack classify each validation image right, in an order without meaning, (V,) each."""
    only_blend, only_stack = entry["only_blend_right"], entry["only_stack_right"]
    blend, stack = (torch.zeros(entry["num_val"], dtype=torch.bool) for _ in range(2))
    blend[:only_blend] = True
    stack[only_blend : only_blend + only_stack] = True
    return blend, stack


@dataclass(frozen=True)
class Coverage:
    """How right expected accuracies were, over seeds and sweeps.

    Attributes:
        held: Cases in which the test accuracy lay in the interval, of `cases`.
        bias: By how much more was expected than tested, in the mean.
        off: Mean absolute difference.
    """

    held: int
    cases: int
    bias: float
    off: float


def coverage(expected: Sequence[Expected], tested: Sequence[float]) -> Coverage:
    errors = [e.accuracy - test for e, test in zip(expected, tested, strict=True)]
    held = sum(e.low <= test <= e.high for e, test in zip(expected, tested, strict=True))
    return Coverage(held, len(errors), statistics.mean(errors), statistics.mean(map(abs, errors)))

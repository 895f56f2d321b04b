"""A ridge probe: a linear classifier of the pooled features of one or several stages, solved for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from thawline.errors import UserError
from thawline.features.extract import Tap
from thawline.features.landmarks import landmark_bases
from thawline.features.left_out import Spectrum, Targets, centre, dual_weights, left_out_scores, spectrum
from thawline.features.standardized import standardize

# In units of the mean squared norm of a row; half a decade apart.
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
# With more rows than MAX_EXACT, a probe of more than NUM_LANDMARKS channels is solved for in the span of so many rows.
# Measured with the features of EfficientNet-Lite0 on 2 CPU cores: exactly, 2,048 rows take 4.7 s; in the span of 768,
# 7,000 rows of 20 classes take 4.6 s. With 1,250 rows of silhouettes the span of 768 costs 0.3 points of accuracy.
MAX_EXACT = 2048
NUM_LANDMARKS = 768


@dataclass(frozen=True)
class ScaledRows:
    """Features of one tap, standardized, their mean squared norm 1, then centred and weighted by `left_out.centre`.

    Attributes:
        values: (N, D), float64: roots * (features * factor - offset).
    """

    values: Tensor
    factor: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Linear:
    """Scores are the sum over taps of features @ weights[tap], (D_tap, K) each, plus bias (K,); float64."""

    weights: dict[Tap, Tensor]
    bias: Tensor

    def __call__(self, features: Mapping[Tap, Tensor]) -> Tensor:
        """(N, K), float64."""
        scores = self.bias.expand(len(next(iter(features.values()))), -1)
        for tap, weight in self.weights.items():
            scores = scores + features[tap].double() @ weight
        return scores


def scaled_rows(features: Mapping[Tap, Tensor], targets: Targets) -> dict[Tap, ScaledRows]:
    """Scale features (N, D_tap), any float type.

    Raises:
        UserError: A feature is not finite.
    """
    refuse_not_finite(features)
    scaled = {}
    for tap, of_tap in features.items():
        rows = standardize(of_tap)
        root = of_tap.shape[1] ** 0.5
        factor = 1.0 / (rows.std * root)
        values = rows.values.div_(root)
        offset = rows.mean * factor + targets.weights @ values / len(targets)
        scaled[tap] = ScaledRows(centre(values, targets), factor, offset)
    return scaled


def refuse_not_finite(features: Mapping[Tap, Tensor]) -> None:
    """Refuse what nothing can be solved from.

    Raises:
        UserError: A feature is not finite.
    """
    for tap, of_tap in features.items():
        if not torch.isfinite(of_tap).all():
            raise UserError(f"the features at cut {tap.cut} are not all finite; try trainer.precision=32-true")


class Probe(Protocol):
    """The fits of one probe at every penalty: `RidgeProbe`, `SumsProbe`.

    Attributes:
        class_shares: Of the rows that it is fitted on, (K,).
    """

    class_shares: Tensor

    def left_out_scores(self) -> Iterator[Tensor]:
        """For every one of `PENALTIES`: scores of rows by fits on others, (N, K), float64."""

    def linear(self, penalty: float) -> Linear:
        """The fit on all rows."""


class RidgeProbe:
    """The fits of one probe at every penalty; they share one eigendecomposition.

    Args:
        rows: What the probe reads; every tap weighs the same.
    """

    def __init__(self, rows: Mapping[Tap, ScaledRows], targets: Targets) -> None:
        self.rows, self.targets = rows, targets
        self.class_shares = targets.mean
        self._parts: Sequence[Tensor] = [of_tap.values for of_tap in rows.values()]
        self._bases: list[Tensor] | None = None
        if len(targets) > MAX_EXACT and sum(part.shape[1] for part in self._parts) > NUM_LANDMARKS:
            self._parts = [part.float() for part in self._parts]  # near the exact fit is near enough
            self._bases = landmark_bases(self._parts, NUM_LANDMARKS)
            first, *others = (part @ basis for part, basis in zip(self._parts, self._bases, strict=True))
            self._parts = [sum(others, start=first)]
        self._spectrum: Spectrum = spectrum(self._parts)
        self._unit = float(self._spectrum.values.sum()) / len(targets) or 1.0  # 0 where all rows are equal

    def left_out_scores(self) -> Iterator[Tensor]:
        """For every one of `PENALTIES`: scores of every row by the fit on the others, (N, K), float64."""
        return left_out_scores(self._spectrum, self.targets, [penalty * self._unit for penalty in PENALTIES])

    def linear(self, penalty: float) -> Linear:
        """The fit on all rows."""
        dual = dual_weights(self._spectrum, self.targets, penalty * self._unit)
        weights = [part.T @ dual for part in self._parts]
        if self._bases is not None:
            weights = [(basis @ weights[0]).double() for basis in self._bases]
        bias, raw = self.targets.mean, {}
        for (tap, of_tap), weight in zip(self.rows.items(), weights, strict=True):
            bias = bias - of_tap.offset @ weight
            raw[tap] = of_tap.factor[:, None] * weight
        return Linear(raw, bias)

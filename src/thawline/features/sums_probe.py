"""A ridge probe that keeps sums over the rows in place of the rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.features.extract import Tap
from thawline.features.fold_sums import Moments
from thawline.features.landmarks import landmark_bases
from thawline.features.ridge_probe import NUM_LANDMARKS, PENALTIES, Linear, ScaledRows


@dataclass(frozen=True)
class Coordinates:
    """The features of some taps as few numbers: (features * factor - offset) @ basis.

    Attributes:
        widths: Features of every tap.
        factor, offset: (D,), float64.
        basis: (D, R), float32, R <= `NUM_LANDMARKS`; None where so many features are kept as they are.
    """

    widths: Mapping[Tap, int]
    factor: Tensor
    offset: Tensor
    basis: Tensor | None

    @classmethod
    def of(cls, rows: Mapping[Tap, ScaledRows]) -> "Coordinates":
        """Of the taps of some rows, which stand for all: their statistics scale, and wide taps lie in their span."""
        widths = {tap: len(of_tap.factor) for tap, of_tap in rows.items()}
        factor, offset = (torch.cat([getattr(of_tap, key) for of_tap in rows.values()]) for key in ("factor", "offset"))
        basis = None
        if sum(widths.values()) > NUM_LANDMARKS:
            parts = [of_tap.values.float() for of_tap in rows.values()]
            basis = torch.cat(landmark_bases(parts, min(NUM_LANDMARKS, len(parts[0]))))
        return cls(widths, factor, offset, basis)

    @property
    def width(self) -> int:
        """R."""
        return len(self.factor) if self.basis is None else self.basis.shape[1]

    def __call__(self, features: Mapping[Tap, Tensor]) -> Tensor:
        """Features (N, D_tap), any float type -> (N, R); float64 without a basis, else float32."""
        rows = torch.cat([features[tap] for tap in self.widths], 1).double().mul_(self.factor).sub_(self.offset)
        return rows if self.basis is None else rows.float() @ self.basis

    def raw(self, weights: Tensor, bias: Tensor) -> Linear:
        """A linear classifier of coordinates, weights (R, K) and biases (K,), as one of features."""
        if self.basis is not None:
            weights = self.basis.double() @ weights
        of_taps = torch.split(self.factor[:, None] * weights, list(self.widths.values()))
        return Linear(dict(zip(self.widths, of_taps, strict=True)), bias - self.offset @ weights)

    @property
    def units(self) -> Tensor | None:
        """What the standard deviation of every coordinate should be, (R,); None where a basis has mixed them."""
        if self.basis is not None:
            return None
        return torch.cat([torch.full((width,), width**-0.5, dtype=torch.float64) for width in self.widths.values()])


class SumsProbe:
    """The fits of one probe at every penalty, from the sums of every fold.

    Features that are kept as they are get the exact standard deviations, which the sums tell; others those of the rows
    that the coordinates were made from.

    Args:
        sums: Of the coordinates, (F, R + 1, R + 1 + K).
        kept: Features (S, D_tap) of some of the rows, which are scored by the fits without their fold.
        folds: Of these rows, (S,).
    """

    def __init__(self, reads: Coordinates, sums: Tensor, *, kept: Mapping[Tap, Tensor], folds: Tensor) -> None:
        self._reads, self._sums, self._kept, self._folds = reads, sums, kept, folds
        total = Moments.of(sums.sum(0))
        units = reads.units
        self._scale = torch.ones(reads.width, dtype=torch.float64) if units is None else units / total.deviations
        self._total = total.scaled(self._scale)
        # As of `RidgeProbe`: the mean squared norm of a row; 1 where all rows are equal.
        self._unit = float(self._total.products.trace()) / total.weight or 1.0
        self.class_shares = total.shares

    def left_out_scores(self) -> Iterator[Tensor]:
        """For every one of `PENALTIES`: scores of the kept rows by the fit on the other folds, (S, K), float64."""
        rows, total = self._reads(self._kept).double().mul_(self._scale), self._sums.sum(0)
        there = [int(fold) for fold in torch.unique(self._folds)]
        without = {fold: Moments.of(total - self._sums[fold]).scaled(self._scale) for fold in there}
        for penalty in PENALTIES:
            scores = torch.empty(len(rows), len(self.class_shares), dtype=torch.float64)
            for fold, moments in without.items():
                weights, bias = moments.ridge(penalty * self._unit)
                inside = self._folds == fold
                scores[inside] = rows[inside] @ weights + bias
            yield scores

    def linear(self, penalty: float) -> Linear:
        """The fit on all rows."""
        weights, bias = self._total.ridge(penalty * self._unit)
        return self._reads.raw(self._scale[:, None] * weights, bias)

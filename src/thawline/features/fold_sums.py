"""Ridge regression of classes on features from sums over rows, fold by fold: whatever their number, the sums are small.

For rows z (N, R) with weights w and one-hot classes y (N, K), the sums of a fold are those of w [z 1]' [z 1 y]: one
matrix (R + 1, R + 1 + K) with all that a fit needs. Sums of two parts of the rows add up, and the sums without a fold
are the total less its own, so that fitting without it takes no second look at the rows. About the weighted means

    C = Z'WZ - n m m',   c = Z'WY - n m t',   the fit at penalty p is   B = S (S C S + p)^-1 S c,   bias t - m' B,

n the sum of the weights, m and t the means, S diagonal: the scale of every column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_CONSTANT = 1e-12  # of the root of the mean square; a column that deviates by less is constant but for rounding


@dataclass(frozen=True)
class RowFacts:
    """What is known of N rows before their features.

    Attributes:
        labels: Class indices, (N,), int64.
        folds: (N,), int64, from 0; rows of one group lie in one.
        weights: (N,), float64.
    """

    labels: Tensor
    folds: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, parts: Sequence["RowFacts"]) -> "RowFacts":
        """Of one part after the other."""
        return cls(*(torch.cat([getattr(part, key) for part in parts]) for key in ("labels", "folds", "weights")))

    def some(self, rows: slice | Tensor) -> "RowFacts":
        """Those of some rows."""
        return RowFacts(self.labels[rows], self.folds[rows], self.weights[rows])

    def repeated(self, times: int) -> "RowFacts":
        """Of several views of every row, one view after the other."""
        return RowFacts(*(column.repeat(times) for column in (self.labels, self.folds, self.weights)))


def no_sums(width: int, *, num_folds: int, num_classes: int) -> Tensor:
    """Sums of no rows: (F, R + 1, R + 1 + K), float64."""
    return torch.zeros(num_folds, width + 1, width + 1 + num_classes, dtype=torch.float64)


def add_rows(sums: Tensor, rows: Tensor, facts: RowFacts) -> None:
    """Add rows (N, R), any float type, to `sums` (F, R + 1, R + 1 + K), in place; the products are taken in float64."""
    width, num_classes = sums.shape[1] - 1, sums.shape[2] - sums.shape[1]
    assert rows.shape[1] == width, (rows.shape, sums.shape)
    right = torch.ones(len(rows), sums.shape[2], dtype=torch.float64)
    right[:, :width] = rows
    right[:, width + 1 :] = F.one_hot(facts.labels, num_classes)
    for fold in torch.unique(facts.folds):
        inside = facts.folds == fold
        of_fold = right[inside]
        left = facts.weights[inside, None] * of_fold[:, : width + 1]
        sums[fold].addmm_(left.T, of_fold)


@dataclass(frozen=True)
class Moments:
    """Sums (R + 1, R + 1 + K) about the weighted means.

    Attributes:
        products: C, (R, R).
        with_classes: c, (R, K).
        mean: m, (R,).
        shares: t, the weighted shares of the classes, (K,).
        weight: n.
    """

    products: Tensor
    with_classes: Tensor
    mean: Tensor
    shares: Tensor
    weight: float

    @classmethod
    def of(cls, sums: Tensor) -> "Moments":
        """Sums of at least one row; `sums` (R + 1, R + 1 + K)."""
        width = len(sums) - 1
        weight = float(sums[width, width])
        mean, shares = sums[width, :width] / weight, sums[width, width + 1 :] / weight
        products = sums[:width, :width] - weight * mean[:, None] * mean
        with_classes = sums[:width, width + 1 :] - weight * mean[:, None] * shares
        return cls(products, with_classes, mean, shares, weight)

    @property
    def deviations(self) -> Tensor:
        """Standard deviation of every column, (R,); 1 for a constant one."""
        squares = self.products.diagonal() / self.weight
        constant = squares <= _CONSTANT**2 * self.mean.square().clamp_min(1.0)
        return torch.where(constant, 1.0, squares.clamp_min(0.0).sqrt())

    def scaled(self, scale: Tensor) -> "Moments":
        """Of columns that were multiplied by `scale`, (R,)."""
        return Moments(
            scale[:, None] * self.products * scale, scale[:, None] * self.with_classes, scale * self.mean, self.shares,
            self.weight,
        )  # fmt: skip

    def ridge(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weights (R, K) and biases (K,) of the fit; the penalty, > 0, is of the squared weights."""
        penalised = self.products.clone()
        penalised.diagonal().add_(penalty)
        weights = torch.cholesky_solve(self.with_classes, torch.linalg.cholesky(penalised))
        return weights, self.shares - self.mean @ weights

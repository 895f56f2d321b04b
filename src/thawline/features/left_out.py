"""Ridge regression of classes on features, and its scores of every row when fitted on the others, in closed form.

With X (N, D) the centred rows, Y (N, K) the centred one-hot classes and U S U' the eigendecomposition of X X', the fit
at penalty p is H Y with H = U diag(s / (s + p)) U' + 1 1' / N. Without row i the residual of row i is

    (Y - H Y)_i / (1 - H_ii),     and of a group g of rows left out together     (I - H_gg)^-1 (Y - H Y)_g.

Source: Allen 1974, "The Relationship between Variable Selection and Data Augmentation", Technometrics 16 (PRESS).
Cost: one eigendecomposition of the smaller of N and D for all penalties; then N R K for each, R the rank.
Rows with weights w: X and Y are centred by the weighted mean, then multiplied by the square root of w; 1 / N becomes
the square roots' product over the sum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 1e-12  # of 1 - leverage, which is 0 where a row is all that says anything of a direction
_ROUNDING = 5e3  # epsilons of the type of the rows; eigenvalues below so many of the largest are rounding errors
# Logit of a class without rows. The others' have mean zero or lie above -10, so its probability is below 1e-8.
ABSENT_LOGIT = -30.0


@dataclass(frozen=True)
class Targets:
    """Classes of N rows.

    Attributes:
        labels: Class indices, (N,), int64.
        groups: Group of each row, (N,), int64; rows of one group are left out together.
        balanced: Whether all classes weigh the same, and not all rows.
        given: Weight of each row, (N,), float64, > 0; of balanced classes inside its class. None weighs all alike.
    """

    labels: Tensor
    num_classes: int
    groups: Tensor
    balanced: bool = False
    given: Tensor | None = None

    @classmethod
    def of(cls, labels: Tensor, *, num_classes: int, groups: Tensor | None = None, **weighing: Any) -> "Targets":
        """Targets of rows that are a group each where no groups are given; `weighing`: `balanced` and `given`."""
        return cls(labels, num_classes, torch.arange(len(labels)) if groups is None else groups, **weighing)

    def __len__(self) -> int:
        return len(self.labels)

    def with_others(self, others: "Targets") -> "Targets":
        """These and others, which share no group with them."""
        return replace(
            self,
            labels=torch.cat([self.labels, others.labels]),
            groups=torch.cat([self.groups, others.groups]),
            given=None if self.given is None or others.given is None else torch.cat([self.given, others.given]),
        )

    def some(self, rows: Tensor) -> "Targets":
        """Those of some rows; `rows` (N,), bool."""
        given = None if self.given is None else self.given[rows]
        return replace(self, labels=self.labels[rows], groups=self.groups[rows], given=given)

    def folds(self, num: int) -> Tensor:
        """Fold of each row, (N,), int64, below `num`; no group lies in two, and the classes are spread over all."""
        groups, rows = torch.unique(self.groups, return_inverse=True)
        label = torch.zeros(len(groups), dtype=torch.int64).scatter_(0, rows, self.labels)
        place = torch.empty_like(label)
        place[label.argsort(stable=True)] = torch.arange(len(groups))
        return (place % num)[rows]

    @cached_property
    def weights(self) -> Tensor:
        """Weight of each row, (N,), float64, mean 1."""
        weights = torch.ones(len(self), dtype=torch.float64) if self.given is None else self.given
        if self.balanced:
            weights = weights / torch.bincount(self.labels, weights)[self.labels]
        return weights * (len(self) / weights.sum())

    @cached_property
    def roots(self) -> Tensor:
        """Square roots of the weights, (N, 1)."""
        return self.weights.sqrt()[:, None]

    @cached_property
    def onehot(self) -> Tensor:
        return F.one_hot(self.labels, self.num_classes).double()

    @cached_property
    def mean(self) -> Tensor:
        """Weighted shares of the classes, (K,)."""
        return self.weights @ self.onehot / len(self)

    @cached_property
    def centred(self) -> Tensor:
        """(N, K), float64, weighted."""
        return self.roots * (self.onehot - self.mean)

    @cached_property
    def together(self) -> list[Tensor]:
        """Rows of the groups that have several, groups of one size in one tensor, (G, size)."""
        order = self.groups.argsort(stable=True)
        counts = torch.unique_consecutive(self.groups[order], return_counts=True)[1]
        of_group = torch.split(order, counts.tolist())
        sizes = sorted({len(rows) for rows in of_group} - {1})
        return [torch.stack([rows for rows in of_group if len(rows) == size]) for size in sizes]


@dataclass(frozen=True)
class Spectrum:
    """Eigendecomposition of X X', without what is zero.

    Attributes:
        left: Eigenvectors, (N, R), orthonormal columns; of the type of the rows.
        values: Eigenvalues, (R,), above 0.
    """

    left: Tensor
    values: Tensor


def centre(features: Tensor, targets: Targets) -> Tensor:
    """Rows (N, D), float64, about their weighted mean, each multiplied by the square root of its weight."""
    return targets.roots * (features - targets.weights @ features / len(targets))


def spectrum(parts: Sequence[Tensor]) -> Spectrum:
    """Of centred rows whose channels lie in `parts`, each (N, D_i): by D x D if there are fewer channels than rows.

    Rows in float64 give scores that are exact; in float32 products of many rows take less than half the time.
    """
    num_rows, num_channels = len(parts[0]), sum(part.shape[1] for part in parts)
    if num_channels >= num_rows:
        products = parts[0] @ parts[0].T
        for part in parts[1:]:
            products.addmm_(part, part.T)
        values, vectors = eigenvectors(products)
        return Spectrum(vectors, values)
    rows = torch.cat(list(parts), 1)
    values, vectors = eigenvectors(rows.T @ rows)
    return Spectrum(rows @ vectors / values.sqrt(), values)


def eigenvectors(products: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (R,) and eigenvectors (M, R) of a matrix X X' (M, M), without those that are rounding errors.

    They are worked out in float64, and have the type of `products`.
    """
    values, vectors = torch.linalg.eigh(products.double())
    keep = values > max(float(values[-1]), 0.0) * _ROUNDING * torch.finfo(products.dtype).eps
    return values[keep].to(products.dtype), vectors[:, keep].to(products.dtype)


def left_out_scores(spectrum: Spectrum, targets: Targets, penalties: Sequence[float]) -> Iterator[Tensor]:
    """For each penalty: scores of every row by the fit on the rows of other groups; about 1 for its class, else 0.

    Args:
        penalties: Of the squared weights, > 0, in units of `Spectrum.values`.
    Yields:
        (N, K), float64.
    """
    left = spectrum.left
    shrinks = spectrum.values[:, None] / (spectrum.values[:, None] + torch.tensor(penalties, dtype=left.dtype))
    leverages = (left.square() @ shrinks).double() + (targets.weights / len(targets))[:, None]  # (N, P)
    turned = left.T @ targets.centred.to(left.dtype)  # (R, K)
    for shrink, leverage in zip(shrinks.T, leverages.T, strict=True):
        residual = targets.centred - (left @ (shrink[:, None] * turned)).double()
        left_out = residual / (1.0 - leverage).clamp_min(_LEAST)[:, None]
        for rows in targets.together:  # (G, size)
            left_out[rows] = _without_group(
                left[rows].double(), shrink.double(), targets.roots[rows], residual[rows], num_rows=len(targets)
            )
        yield targets.onehot - left_out / targets.roots


def _without_group(left: Tensor, shrink: Tensor, roots: Tensor, residual: Tensor, *, num_rows: int) -> Tensor:
    """Residuals (G, size, K) of groups that are left out; left (G, size, R), shrink (R,), roots (G, size, 1)."""
    inside = (left * shrink) @ left.mT + roots @ roots.mT / num_rows
    solved: Tensor = torch.linalg.solve(torch.eye(roots.shape[1], dtype=torch.float64) - inside, residual)
    return solved


def dual_weights(spectrum: Spectrum, targets: Targets, penalty: float) -> Tensor:
    """A (N, K) with weights X' A: the fit on all rows. Its scores are the centred features @ X' A + `Targets.mean`."""
    left = spectrum.left
    return left @ ((left.T @ targets.centred.to(left.dtype)) / (spectrum.values + penalty)[:, None])

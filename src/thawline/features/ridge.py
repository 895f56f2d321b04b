"""How well a linear probe classifies images that it was not fitted on: ridge regression, cross-validated exactly.

One-against-all least squares in its dual form (Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual
Variables") needs only the products of rows with rows. For concatenated features these are the sum over the parts. So
the matrices of all stages and grids are computed once, and their sum serves all stages together.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thawline.data.sources.source import IntArray
from thawline.features.probe import standardize

# Penalty on the weights in units of the mean squared norm of a row, from strong to weak. Chosen, not measured: eight
# values, half a decade to a decade apart; in a few trials the best ones were 0.3 and 3.
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
NUM_FOLDS = 5  # chosen: a common value; each probe is fitted on 80 % of the rows


@dataclass(frozen=True)
class ProbeScore:
    """Result of a probe on rows that it was not fitted on.

    Attributes:
        correct: Whether each row was classified right, (N,), bool.
        penalty: The best over all rows. For a row of one fold, the penalty that is best on the other folds was used.
    """

    correct: Tensor
    penalty: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.double().mean())

    def interval(self, *, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of the accuracy (Wilson 1927), as if rows were independent."""
        from scipy.stats import binomtest  # slow to load

        test = binomtest(int(self.correct.sum()), len(self.correct))
        interval = test.proportion_ci(confidence_level=confidence, method="wilson")
        return float(interval.low), float(interval.high)


def gram(features: Tensor) -> Tensor:
    """Features (N, D), any float type -> products of their rows, standardized over all N, (N, N), float64."""
    values = standardize(features).values
    return values @ values.T


def make_folds(labels: IntArray, groups: IntArray, *, seed: int, num_folds: int = NUM_FOLDS) -> IntArray:
    """The fold of each row, (N,), int64: stratified by class, rows of one group in one fold.

    With fewer groups, or fewer rows in every class, than `num_folds`, there are fewer folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes half a second to load

    num_folds = min(num_folds, len(np.unique(groups)), int(np.bincount(labels).max()))
    assert num_folds > 1, "one group, or one image per class, cannot be split"
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    folds = np.empty(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class smaller than the number of folds
        for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
            folds[rows] = number
    return folds


def cross_validate(
    products: Tensor, labels: Tensor, *, folds: IntArray, penalties: Sequence[float] = PENALTIES
) -> ProbeScore:
    """Classify each row by a probe fitted on the rows of the other folds.

    Args:
        products: Rows with rows, (N, N), float64, from `gram`, or a sum of such matrices.
        labels: Class indices, (N,), int64.
        folds: Fold of each row, (N,), from `make_folds`.
        penalties: From strong to weak; of equally good ones the strongest counts as the best.
    """
    scale = float(products.diagonal().mean()) or 1.0  # the mean is 0 if all rows are equal
    correct = torch.empty(len(penalties), len(labels), dtype=torch.bool)
    fold_of = torch.from_numpy(folds)
    for fold in np.unique(folds):
        fit, test = (fold_of != fold).nonzero().flatten(), (fold_of == fold).nonzero().flatten()
        correct[:, test] = _classified(products / scale, labels, fit, test, penalties)
    out_of_fold = torch.empty(len(labels), dtype=torch.bool)
    for fold in np.unique(folds):
        held = fold_of == fold
        out_of_fold[held] = correct[_best(correct[:, ~held])][held]
    return ProbeScore(out_of_fold, penalties[_best(correct)])


def hold_out(products: Tensor, labels: Tensor, *, num_fit: int, penalty: float) -> ProbeScore:
    """Classify the rows from `num_fit` on by a probe fitted on those before; arguments as for `cross_validate`."""
    scale = float(products.diagonal()[:num_fit].mean()) or 1.0
    fit, test = torch.arange(num_fit), torch.arange(num_fit, len(labels))
    return ProbeScore(_classified(products / scale, labels, fit, test, (penalty,))[0], penalty)


def _classified(products: Tensor, labels: Tensor, fit: Tensor, test: Tensor, penalties: Sequence[float]) -> Tensor:
    """Whether the probe that is fitted on the rows `fit` classifies the rows `test` right: (P, T), bool."""
    targets = torch.nn.functional.one_hot(labels).double()[fit]  # (F, K)
    base = targets.mean(0)
    within, across = products[fit][:, fit], products[test][:, fit]
    centre = within.mean(0)  # products of the rows about the mean of `fit` are equivalent to a free bias
    across = across - across.mean(1, keepdim=True) - centre + centre.mean()
    within = within - centre - centre[:, None] + centre.mean()
    identity = torch.eye(len(fit), dtype=torch.float64)
    rows = []
    for penalty in penalties:
        factor = torch.linalg.cholesky(within + penalty * identity)
        scores = across @ torch.cholesky_solve(targets - base, factor) + base  # (T, K)
        rows.append(scores.argmax(1) == labels[test])
    return torch.stack(rows)


def _best(correct: Tensor) -> int:
    """Index of the penalty with the most rows right; of several, the first, which is the strongest."""
    return int(correct.double().mean(1).argmax())

"""How well a linear probe classifies images that it was not fitted on: ridge regression, cross-validated exactly.

One-against-all least squares in its dual form (Saunders et al. 1998, "Ridge Regression Learning Algorithm in Dual
Variables") needs only the products of rows with rows: of concatenated features they are the sum over the parts, so
every stage, every grid and all stages together are judged from matrices that are computed once.
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
# values, half a decade to a decade apart; the few that were looked at came to 0.3 and 3.
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
NUM_FOLDS = 5  # chosen: the usual compromise; each probe is fitted on 80 % of the rows


@dataclass(frozen=True)
class ProbeScore:
    """What a probe did on rows that it had not seen.

    Attributes:
        correct: Per row, (N,), bool.
        penalty: The best over all rows; a row's own was chosen on the other folds.
    """

    correct: Tensor
    penalty: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.double().mean())

    def interval(self, *, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of the accuracy (Wilson 1927), as if rows were independent."""
        from scipy.stats import binomtest  # it loads slowly: only for those who ask

        test = binomtest(int(self.correct.sum()), len(self.correct))
        interval = test.proportion_ci(confidence_level=confidence, method="wilson")
        return float(interval.low), float(interval.high)


def gram(features: Tensor) -> Tensor:
    """Features (N, D), any float type -> products of their standardized rows, (N, N), float64.

    A channel's mean and scale are those of all N rows: no label enters.
    """
    values = standardize(features).values
    return values @ values.T


def make_folds(labels: IntArray, groups: IntArray, *, seed: int, num_folds: int = NUM_FOLDS) -> IntArray:
    """The fold of each row, (N,), int64: stratified by class, rows of one group in one fold.

    Fewer folds where there are fewer groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # it loads for half a second

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
        products: Rows with rows, (N, N), float64, as `gram` gives, or a sum of such.
        labels: Class indices, (N,), int64.
        folds: Fold of each row, (N,), as `make_folds` gives.
        penalties: From strong to weak; of equally good ones, the strongest is chosen.
    """
    scale = float(products.diagonal().mean()) or 1.0  # 0 where all rows are equal
    correct = torch.empty(len(penalties), len(labels), dtype=torch.bool)
    fold_of = torch.from_numpy(folds)
    for fold in np.unique(folds):
        seen, unseen = (fold_of != fold).nonzero().flatten(), (fold_of == fold).nonzero().flatten()
        correct[:, unseen] = _classified(products / scale, labels, seen, unseen, penalties)
    chosen = torch.empty(len(labels), dtype=torch.bool)
    for fold in np.unique(folds):
        held = fold_of == fold
        chosen[held] = correct[_best(correct[:, ~held])][held]
    return ProbeScore(chosen, penalties[_best(correct)])


def hold_out(products: Tensor, labels: Tensor, *, num_seen: int, penalty: float) -> ProbeScore:
    """Classify the rows from `num_seen` on by a probe fitted on those before.

    Args:
        products: Rows with rows, (N, N), float64, as `gram` gives, or a sum of such.
        labels: Class indices, (N,), int64.
    """
    scale = float(products.diagonal()[:num_seen].mean()) or 1.0
    seen, unseen = torch.arange(num_seen), torch.arange(num_seen, len(labels))
    return ProbeScore(_classified(products / scale, labels, seen, unseen, (penalty,))[0], penalty)


def _classified(products: Tensor, labels: Tensor, seen: Tensor, unseen: Tensor, penalties: Sequence[float]) -> Tensor:
    """Whether the `unseen` rows are classified right by the probe of the `seen` ones: (P, U), bool."""
    targets = torch.nn.functional.one_hot(labels).double()[seen]  # (S, K)
    base = targets.mean(0)
    within, across = products[seen][:, seen], products[unseen][:, seen]
    centre = within.mean(0)  # of the rows about the mean of the seen ones, which is what a free bias amounts to
    across = across - across.mean(1, keepdim=True) - centre + centre.mean()
    within = within - centre - centre[:, None] + centre.mean()
    identity = torch.eye(len(seen), dtype=torch.float64)
    rows = []
    for penalty in penalties:
        factor = torch.linalg.cholesky(within + penalty * identity)
        scores = across @ torch.cholesky_solve(targets - base, factor) + base  # (U, K)
        rows.append(scores.argmax(1) == labels[unseen])
    return torch.stack(rows)


def _best(correct: Tensor) -> int:
    """The first, so the strongest, of the penalties with the most rows right."""
    return int(correct.double().mean(1).argmax())

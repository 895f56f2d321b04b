"""A logistic probe: a linear classifier of stored features, fitted exactly by L-BFGS."""

import contextlib
import functools
import logging
import warnings
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from thawline.features.left_out import ABSENT_LOGIT
from thawline.features.standardized import Standardized

_log = logging.getLogger(__name__)
# Largest gradient entry of the objective at a solution. Chosen: on photo_crops and solar_cells (560 rows, 1,280
# channels), at 1e-4, scikit-learn's default, the weak penalties end early and validate differently; from 1e-5 to 1e-6
# no loss at a penalty from 10 to 1e-3 moves by more than 0.001, and a path takes 1.5 times as long.
GRADIENT_TOLERANCE = 1e-5
_MAX_ITERATIONS = 5000  # chosen: the longest fit of the same measurement took 202
# A product of rows and weights with fewer multiply-adds is computed by one thread. Chosen: the threads of NumPy's and
# SciPy's OpenBLAS wait for each other in a busy loop. On 2 shared cores an iteration on 560 rows of 1,280 channels and
# 12 classes takes 153 ms with threads, 4 ms without; on 10,000 rows and 100 classes 583 and 143 ms.
_ONE_THREAD_BELOW = 10**9

_Array = np.ndarray[Any, Any]
WeightAndBias = tuple[Tensor, Tensor]  # weight (K, D), bias (K,): logits are features @ weight.T + bias


def fit_logistic(
    rows: Standardized,
    labels: Tensor,
    *,
    num_classes: int,
    penalty: float,
    start: WeightAndBias | None = None,
    weights: Tensor | None = None,
) -> WeightAndBias:
    """The linear classifier that minimises

        mean weighted cross-entropy + penalty / 2 * ||W||^2,   W the weights on standardized features, biases free,

    up to a gradient of `GRADIENT_TOLERANCE`. It does not depend on the scale or the offset of a channel.

    Args:
        labels: Class indices, (N,), int64, in [0, num_classes).
        penalty: > 0, dimensionless. The loss is a mean, so the number of rows does not change its meaning.
        weights: Of the rows, (N,), float64, mean 1; None weighs all alike.
        start: Solution for another penalty, where the search starts; from a stronger penalty it is short.
    Returns:
        weight (K, D) and bias (K,) for the raw features, float32. A class without rows gets weights 0 and the logit
        `ABSENT_LOGIT`, because the objective has no minimum in its bias.
    Raises:
        ValueError: A feature is not finite.
    Source: scikit-learn's LogisticRegression(solver="lbfgs"), which minimises C * sum + 1/2 * ||W||^2.
    """
    present, targets = np.unique(labels.cpu().numpy(), return_inverse=True)
    weight, bias = np.zeros((num_classes, rows.values.shape[1])), np.full(num_classes, ABSENT_LOGIT)
    bias[present] = 0.0
    if len(present) > 1:
        (spanned, basis), mean, std = rows.spanned, rows.mean.numpy(), rows.std.numpy()
        turn = None if basis is None else basis.numpy()
        with _few_threads(spanned.numel() * len(present)):
            begin = _present_of(start, present, mean, std, turn)
            of_rows = None if weights is None else weights.numpy()
            solved_weight, solved_bias = _solve(spanned.numpy(), targets, penalty, begin, weights=of_rows)
            weight[present] = (solved_weight if turn is None else solved_weight @ turn.T) / std
            bias[present] = solved_bias - solved_bias.mean() - weight[present] @ mean
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def _present_of(
    start: WeightAndBias | None, present: _Array, mean: _Array, std: _Array, turn: _Array | None
) -> tuple[_Array, _Array] | None:
    """`start`, for raw features, as a classifier of standardized features in the basis `turn`; present classes only."""
    if start is None:
        return None
    weight, bias = (part.detach().cpu().double().numpy()[present] for part in start)
    return (weight * std if turn is None else weight * std @ turn), bias + weight @ mean


def _solve(
    values: _Array,
    targets: _Array,
    penalty: float,
    start: tuple[_Array, _Array] | None,
    *,
    weights: _Array | None,
) -> tuple[_Array, _Array]:
    """Weights (P, D) and biases (P,) of the P classes that have rows.

    For two classes scikit-learn fits the difference d of their weights. By symmetry the weights are -d/2 and d/2. Their
    penalty is half that of d, hence the factor 2 in C.
    """
    from sklearn.exceptions import ConvergenceWarning  # takes half a second to load
    from sklearn.linear_model import LogisticRegression

    binary = targets.max() == 1
    inverse = (2.0 if binary else 1.0) / (penalty * len(values))
    model: Any = LogisticRegression(C=inverse, tol=GRADIENT_TOLERANCE, max_iter=_MAX_ITERATIONS, warm_start=True)
    if start is not None:
        model.coef_, model.intercept_ = (np.diff(part, axis=0) for part in start) if binary else start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # our own warning follows below
        model.fit(values, targets, sample_weight=weights)
    if int(model.n_iter_[0]) >= _MAX_ITERATIONS:
        _log.warning("Penalty %g: not converged after %d iterations of L-BFGS.", penalty, _MAX_ITERATIONS)
    weight, bias = model.coef_, model.intercept_
    return (np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2) if binary else (weight, bias)


def _few_threads(work: int) -> contextlib.AbstractContextManager[Any]:
    """One thread for a product of few multiply-adds, `work`; the libraries' number of threads for a large one."""
    return _libraries().limit(limits=1, user_api="blas") if work < _ONE_THREAD_BELOW else contextlib.nullcontext()


@functools.cache
def _libraries() -> Any:
    import sklearn.linear_model  # loads the libraries whose threads are limited  # noqa: F401

    return ThreadpoolController()

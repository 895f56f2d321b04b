"""The probe against scikit-learn used directly, against its own objective, and where a class or a channel is odd."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from thawline.features.left_out import ABSENT_LOGIT
from thawline.features.logistic_probe import GRADIENT_TOLERANCE, WeightAndBias, fit_logistic
from thawline.features.standardized import Standardized, standardize

PENALTY = 0.1


def blobs(num_classes: int, *, num_rows: int = 60, channels: int = 5) -> tuple[Tensor, Tensor]:
    """Overlapping classes, of unequal sizes, in channels of very different scale and offset."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.cat([torch.arange(num_classes), torch.randint(num_classes, (num_rows,), generator=generator)])
    labels = torch.where(torch.arange(len(labels)) % 3 == 0, 0, labels)
    centres = torch.randn(num_classes, channels, generator=generator)
    features = centres[labels] + torch.randn(len(labels), channels, generator=generator)
    return features * torch.logspace(-2, 2, channels) + 10.0, labels


def fitted(
    features: Tensor, labels: Tensor, num_classes: int, penalty: float = PENALTY, **more: WeightAndBias
) -> WeightAndBias:
    return fit_logistic(standardize(features), labels, num_classes=num_classes, penalty=penalty, **more)


def gradient(raw: WeightAndBias, features: Tensor, labels: Tensor, penalty: float) -> float:
    """Largest entry of the objective's gradient, in the terms in which the docstring states it."""
    mean, std = features.double().mean(0), features.double().std(0, correction=0)
    weight = (raw[0].double() * std).requires_grad_()
    bias = (raw[1].double() + raw[0].double() @ mean).requires_grad_()
    logits = (features.double() - mean) / std @ weight.T + bias
    objective = F.cross_entropy(logits, labels) + penalty / 2 * weight.square().sum()
    return max(float(part.abs().max()) for part in torch.autograd.grad(objective, [weight, bias]))


@pytest.mark.parametrize("num_classes", [2, 3, 7])
@pytest.mark.parametrize("penalty", [10.0, 0.1, 0.001])
def test_the_objective_has_no_gradient_at_the_solution(num_classes: int, penalty: float) -> None:
    features, labels = blobs(num_classes)
    solution = fitted(features, labels, num_classes, penalty)
    assert solution[0].shape == (num_classes, 5)
    assert solution[1].shape == (num_classes,)
    assert gradient(solution, features, labels, penalty) < 1.5 * GRADIENT_TOLERANCE  # and float32's rounding


@pytest.mark.parametrize("num_classes", [3, 7])
def test_the_probabilities_are_those_of_scikit_learn(num_classes: int) -> None:
    features, labels = blobs(num_classes)
    weight, bias = fitted(features, labels, num_classes)
    mean, std = features.double().mean(0), features.double().std(0, correction=0)
    values = ((features.double() - mean) / std).numpy()
    reference = LogisticRegression(C=1 / (PENALTY * len(labels)), tol=1e-8, max_iter=1000).fit(values, labels.numpy())
    expected = torch.from_numpy(reference.predict_proba(values)).float()
    torch.testing.assert_close((features @ weight.T + bias).softmax(1), expected, atol=1e-4, rtol=0)


def test_two_classes_get_opposite_rows() -> None:
    features, labels = blobs(2)
    weight, bias = fitted(features, labels, 2)
    torch.testing.assert_close(weight[0], -weight[1])
    logits = features @ weight.T + bias
    assert ((logits.argmax(1) == labels).float().mean()) > 0.8


@pytest.mark.parametrize("num_classes", [2, 4])
def test_from_another_solution_it_ends_in_the_same_place(num_classes: int) -> None:
    features, labels = blobs(num_classes)
    strong = fitted(features, labels, num_classes, 1.0)
    warm = fitted(features, labels, num_classes, start=strong)
    cold = fitted(features, labels, num_classes)
    for ours, theirs in zip(warm, cold, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=1e-3)
    assert gradient(warm, features, labels, PENALTY) < 1.5 * GRADIENT_TOLERANCE


@pytest.mark.parametrize("others", [1, 2, 3])
def test_a_class_without_rows_is_never_predicted_and_changes_nothing(others: int) -> None:
    features, labels = blobs(others)
    weight, bias = fitted(features, labels + 1, others + 1)  # class 0 is absent
    plain_weight, plain_bias = fitted(features, labels, others)
    torch.testing.assert_close(weight[1:], plain_weight)
    torch.testing.assert_close(bias[1:], plain_bias)
    assert float(bias[0]) == ABSENT_LOGIT
    assert not weight[0].any()
    logits = features @ weight.T + bias
    assert float(logits.softmax(1)[:, 0].max()) < math.exp(ABSENT_LOGIT) * 1.01


def test_a_constant_channel_gets_no_weight() -> None:
    features, labels = blobs(3)
    features[:, 2] = 0.1  # no float: the mean of many is not quite the same number
    weight, bias = fitted(features, labels, 3)
    assert not weight[:, 2].any()
    assert bool(torch.isfinite(weight).all())
    without, bias_without = fitted(features[:, [0, 1, 3, 4]], labels, 3)
    torch.testing.assert_close(weight[:, [0, 1, 3, 4]], without, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(bias, bias_without, atol=1e-3, rtol=1e-3)


def test_a_strong_penalty_leaves_the_share_of_every_class() -> None:
    features, labels = blobs(3)
    weight, bias = fitted(features, labels, 3, 1e5)
    shares = torch.bincount(labels) / len(labels)
    torch.testing.assert_close((features @ weight.T + bias).softmax(1).mean(0), shares, atol=1e-4, rtol=0)
    torch.testing.assert_close((features @ weight.T + bias).softmax(1)[0], shares, atol=1e-3, rtol=0)


def test_standardized_rows_have_mean_0_and_deviation_1() -> None:
    features, _ = blobs(2)
    rows = standardize(features)
    torch.testing.assert_close(rows.values.mean(0), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(rows.values.std(0, correction=0), torch.ones(5, dtype=torch.float64))
    assert features.dtype == torch.float32
    torch.testing.assert_close(rows.values * rows.std + rows.mean, features.double())


def test_rows_that_are_not_finite_are_an_error() -> None:
    features, labels = blobs(2)
    features[3, 1] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted(features, labels, 2)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_with_more_channels_than_rows_the_solution_is_scikit_learns(num_classes: int) -> None:
    features, labels = blobs(num_classes, num_rows=20, channels=100)
    weight, bias = fitted(features, labels, num_classes)
    mean, std = features.double().mean(0), features.double().std(0, correction=0)
    values = ((features.double() - mean) / std).numpy()
    inverse = (2 if num_classes == 2 else 1) / (PENALTY * len(labels))
    reference = LogisticRegression(C=inverse, tol=1e-8, max_iter=5000).fit(values, labels.numpy())
    expected = torch.from_numpy(reference.predict_proba(values)).float()
    torch.testing.assert_close((features @ weight.T + bias).softmax(1), expected, atol=1e-3, rtol=0)


def test_with_more_channels_than_rows_it_goes_on_from_another_solution() -> None:
    features, labels = blobs(3, num_rows=20, channels=100)
    strong = fitted(features, labels, 3, 1.0)
    for ours, theirs in zip(fitted(features, labels, 3, start=strong), fitted(features, labels, 3), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.01, rtol=1e-2)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_row_of_weight_two_is_a_row_that_stands_twice(num_classes: int) -> None:
    features, labels = blobs(num_classes)
    twice = torch.arange(len(labels)) % 4 == 0
    weights = torch.where(twice, 2.0, 1.0).double()
    rows = standardize(features)
    weighted = fit_logistic(
        rows, labels, num_classes=num_classes, penalty=PENALTY, weights=weights * len(labels) / weights.sum()
    )
    double = Standardized(torch.cat([rows.values, rows.values[twice]]), rows.mean, rows.std)
    repeated = fit_logistic(double, torch.cat([labels, labels[twice]]), num_classes=num_classes, penalty=PENALTY)
    for ours, theirs in zip(weighted, repeated, strict=True):
        torch.testing.assert_close(
            ours * rows.std.float() if ours.ndim == 2 else ours,
            theirs * rows.std.float() if ours.ndim == 2 else theirs,
            atol=1e-3,
            rtol=1e-3,
        )

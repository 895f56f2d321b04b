"""Scores of rows that are left out, against scikit-learn fitted without them."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut
from torch import Tensor

from thawline.features.left_out import Spectrum, Targets, centre, dual_weights, left_out_scores, spectrum

PENALTY = 3.0


def rows(*, num_rows: int = 30, channels: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_rows) % classes
    centres = torch.randn(classes, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(num_rows, channels, generator=generator, dtype=torch.float64)
    return centres[labels] + 1.5 * noise, labels


def left_out(features: Tensor, targets: Targets, penalty: float = PENALTY) -> Tensor:
    (scores,) = left_out_scores(spectrum([centre(features, targets)]), targets, [penalty])
    return scores


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("channels", [6, 200])
def test_every_row_scores_as_the_ridge_classifier_without_it(channels: int, classes: int) -> None:
    features, labels = rows(channels=channels, classes=classes)
    scores = left_out(features, Targets.of(labels, num_classes=classes))
    for fit, test in LeaveOneOut().split(features):
        model = RidgeClassifier(alpha=PENALTY).fit(features[fit].numpy(), labels[fit].numpy())
        theirs = model.decision_function(features[test].numpy())[0]  # for targets of -1 and 1
        ours = 2 * scores[test[0]] - 1
        np.testing.assert_allclose(ours if classes > 2 else ours[1], theirs, atol=1e-6)


@pytest.mark.parametrize("channels", [6, 200])
def test_rows_of_a_group_are_left_out_together(channels: int) -> None:
    features, labels = rows(channels=channels)
    groups = torch.arange(30) // 4  # of 4 and, the last, of 2 rows
    scores = left_out(features, Targets.of(labels, num_classes=3, groups=groups))
    onehot = np.eye(3)[labels]
    for fit, test in LeaveOneGroupOut().split(features, groups=groups):
        model = Ridge(alpha=PENALTY).fit(features[fit].numpy(), onehot[fit])
        np.testing.assert_allclose(scores[test], model.predict(features[test].numpy()), atol=1e-6)


def test_given_weights_are_those_of_ridge_regression_also_when_a_row_is_left_out() -> None:
    features, labels = rows()
    given = torch.linspace(0.2, 4.0, 30, dtype=torch.float64)
    targets = Targets.of(labels, num_classes=3, given=given)
    weights = (given * 30 / given.sum()).numpy()
    scores = left_out(features, targets)
    for fit, test in LeaveOneOut().split(features):
        model = Ridge(alpha=PENALTY).fit(features[fit].numpy(), np.eye(3)[labels[fit]], weights[fit])
        np.testing.assert_allclose(scores[test], model.predict(features[test].numpy()), atol=1e-6)


def test_given_weights_count_inside_balanced_classes_and_stay_with_their_rows() -> None:
    labels, given = torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 1.0, 2.0, 9.0]).double()
    targets = Targets.of(labels, num_classes=2, balanced=True, given=given)
    assert targets.weights.tolist() == [0.5, 0.5, 1.0, 2.0]
    few = targets.some(torch.tensor([True, False, True, False]))
    assert few.given is not None
    assert few.with_others(few).given.tolist() == [1.0, 2.0, 1.0, 2.0]  # type: ignore[union-attr]


def test_balanced_classes_weigh_the_same_also_when_a_row_is_left_out() -> None:
    features, _ = rows()
    labels = torch.tensor([0] * 20 + [1] * 8 + [2] * 2)
    targets = Targets.of(labels, num_classes=3, balanced=True)
    weights = 10.0 / torch.tensor([20.0, 8.0, 2.0]).double()[labels]
    torch.testing.assert_close(targets.weights, weights)
    scores = left_out(features, targets)
    for fit, test in LeaveOneOut().split(features):
        model = Ridge(alpha=PENALTY).fit(features[fit].numpy(), np.eye(3)[labels[fit]], weights[fit].numpy())
        np.testing.assert_allclose(scores[test], model.predict(features[test].numpy()), atol=1e-6)


@pytest.mark.parametrize("channels", [6, 200])
def test_the_fit_on_all_rows_is_ridge_regression(channels: int) -> None:
    features, labels = rows(channels=channels)
    targets = Targets.of(labels, num_classes=3)
    centred = centre(features, targets)
    weights = centred.T @ dual_weights(spectrum([centred]), targets, PENALTY)
    model = Ridge(alpha=PENALTY).fit(features.numpy(), np.eye(3)[labels])
    np.testing.assert_allclose(weights.T, model.coef_, atol=1e-8)


def test_channels_in_parts_are_channels_side_by_side() -> None:
    for channels in (6, 200):
        features, labels = rows(channels=channels)
        centred = centre(features, Targets.of(labels, num_classes=3))
        whole, parts = spectrum([centred]), spectrum([centred[:, :4], centred[:, 4:]])
        torch.testing.assert_close(whole.values, parts.values)
        torch.testing.assert_close(whole.left @ whole.left.T, parts.left @ parts.left.T)


def test_a_row_that_stands_twice_is_predicted_well_alone_and_by_chance_as_a_group() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 50, generator=generator, dtype=torch.float64).repeat_interleave(2, 0)
    labels = torch.randint(2, (20,), generator=generator).repeat_interleave(2)
    groups = torch.arange(40) // 2
    alone, together = (
        left_out(features, Targets.of(labels, num_classes=2, groups=g), 0.01) for g in (torch.arange(40), groups)
    )
    assert (alone.argmax(1) == labels).all()
    assert (together.argmax(1) == labels).double().mean() < 0.8


def test_rows_that_are_all_equal_score_the_share_of_their_class_among_the_others() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    targets = Targets.of(labels, num_classes=2)
    of_rows = spectrum([centre(torch.ones(4, 3, dtype=torch.float64), targets)])
    assert of_rows.values.numel() == 0
    (scores,) = left_out_scores(of_rows, targets, [1.0])
    torch.testing.assert_close(scores[0], torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))
    torch.testing.assert_close(scores[3], torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_the_rank_is_that_of_the_rows() -> None:
    features, labels = rows(num_rows=10, channels=40)
    of_rows: Spectrum = spectrum([centre(features, Targets.of(labels, num_classes=3))])
    assert of_rows.values.numel() == 9  # one direction is lost to the centring


@pytest.mark.parametrize("channels", [6, 200])
def test_balanced_scores_are_those_of_the_ridge_classifier_with_sample_weights(channels: int) -> None:
    features, _ = rows(channels=channels)
    labels = torch.tensor([0] * 20 + [1] * 8 + [2] * 2)
    targets = Targets.of(labels, num_classes=3, balanced=True)
    scores, weights = left_out(features, targets), targets.weights.numpy()
    for fit, test in LeaveOneOut().split(features):
        model = RidgeClassifier(alpha=PENALTY).fit(features[fit].numpy(), labels[fit].numpy(), weights[fit])
        np.testing.assert_allclose(
            2 * scores[test[0]] - 1, model.decision_function(features[test].numpy())[0], atol=1e-6
        )


def test_balanced_groups_are_left_out_together() -> None:
    features, _ = rows()
    labels, groups = torch.tensor([0] * 20 + [1] * 8 + [2] * 2), torch.arange(30) // 3
    targets = Targets.of(labels, num_classes=3, groups=groups, balanced=True)
    scores = left_out(features, targets)
    for fit, test in LeaveOneGroupOut().split(features, groups=groups):
        model = Ridge(alpha=PENALTY).fit(features[fit].numpy(), np.eye(3)[labels[fit]], targets.weights[fit].numpy())
        np.testing.assert_allclose(scores[test], model.predict(features[test].numpy()), atol=1e-6)

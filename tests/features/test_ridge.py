"""The cross-validated probe against scikit-learn's ridge regression, fold by fold, and against chance."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.linear_model import Ridge
from torch import Tensor

from thawline.features.ridge import PENALTIES, ProbeScore, cross_validate, gram, hold_out, make_folds


def rows(*, num_rows: int = 90, channels: int = 6, classes: int = 3, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_rows) % classes
    centres = torch.randn(classes, channels, generator=generator)
    return centres[labels] + spread * torch.randn(num_rows, channels, generator=generator), labels


def folds_of(labels: Tensor) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return make_folds(labels.numpy(), np.arange(len(labels)), seed=0)


def by_scikit_learn(features: Tensor, labels: Tensor, folds: np.ndarray, penalty: float) -> Tensor:  # type: ignore[type-arg]
    values = features.double().numpy()
    values = (values - values.mean(0)) / values.std(0)
    scale = (values**2).sum(1).mean()
    targets, correct = np.eye(int(labels.max()) + 1)[labels], np.zeros(len(labels), dtype=bool)
    for fold in np.unique(folds):
        seen = folds != fold
        model = Ridge(alpha=penalty * scale).fit(values[seen], targets[seen])
        correct[~seen] = model.predict(values[~seen]).argmax(1) == labels.numpy()[~seen]
    return torch.from_numpy(correct)


@pytest.mark.parametrize("penalty", [1.0, 0.01])
@pytest.mark.parametrize("channels", [6, 200])
def test_each_row_is_classified_as_scikit_learn_does_without_it(channels: int, penalty: float) -> None:
    features, labels = rows(channels=channels, spread=2.0 if channels < 10 else 8.0)
    folds = folds_of(labels)
    score = cross_validate(gram(features), labels, folds=folds, penalties=[penalty])
    assert torch.equal(score.correct, by_scikit_learn(features, labels, folds, penalty))
    assert 0.4 < score.accuracy < 1.0


def test_products_of_concatenated_features_are_the_sum_of_the_parts() -> None:
    features, _ = rows(channels=9)
    parts = gram(features[:, :4]) + gram(features[:, 4:])
    torch.testing.assert_close(gram(features), parts)


def test_the_penalty_of_a_fold_is_chosen_on_the_others() -> None:
    features, labels = rows(channels=300, spread=4.0)
    folds = folds_of(labels)
    products = gram(features)
    single = {p: cross_validate(products, labels, folds=folds, penalties=[p]).correct for p in PENALTIES}
    chosen = cross_validate(products, labels, folds=folds).correct
    for fold in np.unique(folds):
        held = torch.from_numpy(folds == fold)
        best = max(PENALTIES, key=lambda p: (float(single[p][~held].double().mean()), p))
        assert torch.equal(chosen[held], single[best][held])


def test_labels_that_have_nothing_to_do_with_the_features_are_not_predicted() -> None:
    generator = torch.Generator().manual_seed(1)
    features, labels = torch.randn(300, 50, generator=generator), torch.randint(2, (300,), generator=generator)
    score = cross_validate(gram(features), labels, folds=folds_of(labels))
    low, high = score.interval()
    assert low < 0.5 < high


def test_rows_of_one_group_are_judged_together() -> None:
    labels = np.arange(60) % 2
    groups = np.repeat(np.arange(15), 4)
    labels = labels[groups]
    folds = make_folds(labels, groups, seed=0)
    for group in range(15):
        assert len(set(folds[groups == group])) == 1
    assert sorted(set(folds)) == [0, 1, 2, 3, 4]


def test_copies_in_one_group_do_not_help_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(80) % 2).repeat_interleave(2)
    features = torch.randn(80, 200, generator=generator).repeat_interleave(2, 0)
    groups = np.arange(80).repeat(2)
    leaking = cross_validate(gram(features), labels, folds=folds_of(labels))
    honest = cross_validate(gram(features), labels, folds=make_folds(labels.numpy(), groups, seed=0))
    assert leaking.accuracy > 0.8
    assert honest.accuracy < 0.7


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 2, 2]])
def test_fewer_images_make_fewer_folds(labels: list[int]) -> None:
    folds = make_folds(np.array(labels), np.arange(4), seed=0)
    assert 2 <= len(set(folds)) <= 4
    score = cross_validate(gram(torch.randn(4, 8)), torch.tensor(labels), folds=folds)
    assert score.correct.shape == (4,)


def test_equal_images_are_all_called_the_largest_class() -> None:
    labels = torch.tensor([0, 0, 0, 1] * 5)
    score = cross_validate(gram(torch.ones(20, 7)), labels, folds=folds_of(labels))
    assert score.accuracy == 0.75


def test_the_interval_is_wilsons() -> None:
    score = ProbeScore(torch.tensor([True] * 80 + [False] * 20), 1.0)
    expected = binomtest(80, 100).proportion_ci(method="wilson")
    assert score.interval() == pytest.approx((expected.low, expected.high))
    assert score.interval() == pytest.approx((0.7112, 0.8666), abs=1e-4)  # worked out by hand


def test_held_out_rows_are_classified_as_scikit_learn_does() -> None:
    features, labels = rows(spread=2.0)
    folds = np.where(np.arange(90) < 60, 0, 1)
    values = features.double().numpy()
    values = (values - values.mean(0)) / values.std(0)
    model = Ridge(alpha=0.3 * (values[:60] ** 2).sum(1).mean()).fit(values[:60], np.eye(3)[labels[:60]])
    expected = model.predict(values[folds == 1]).argmax(1) == labels[60:].numpy()
    found = hold_out(gram(features), labels, num_fit=60, penalty=0.3)
    assert found.correct.tolist() == expected.tolist()
    assert not expected.all()

"""Ridge regression from sums of folds, against scikit-learn on the rows."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from thawline.features import sums_probe
from thawline.features.extract import Tap
from thawline.features.fold_sums import Moments, RowFacts, add_rows, no_sums
from thawline.features.left_out import Targets
from thawline.features.ridge_probe import PENALTIES, Linear, scaled_rows
from thawline.features.sums_probe import Coordinates, SumsProbe

FOLDS, CLASSES = 4, 3
TAPS = {Tap(1, 1): 5, Tap(2, 1): 8}


def rows(number: int = 60, *, seed: int = 0) -> tuple[dict[Tap, Tensor], Tensor]:
    """Features far from zero and of very different scales."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % CLASSES
    features = {}
    for tap, width in TAPS.items():
        noise = torch.randn(number, width, generator=generator)
        features[tap] = 40.0 + torch.logspace(-1, 1, width) * (noise + labels[:, None] * torch.linspace(-1, 1, width))
    return features, labels


def facts(labels: Tensor, *, groups: Tensor | None = None, balanced: bool = False) -> RowFacts:
    targets = Targets.of(labels, num_classes=CLASSES, groups=groups, balanced=balanced)
    return RowFacts(labels, targets.folds(FOLDS), targets.weights)


def summed(reads: Coordinates, features: dict[Tap, Tensor], of: RowFacts) -> Tensor:
    sums = no_sums(reads.width, num_folds=FOLDS, num_classes=CLASSES)
    add_rows(sums, reads(features), of)
    return sums


def standardized(features: dict[Tap, Tensor]) -> Tensor:
    """All taps side by side, each with a mean squared norm of 1."""
    parts = []
    for part in features.values():
        values = part.double() - part.double().mean(0)
        parts.append(values / values.square().mean(0).sqrt() / part.shape[1] ** 0.5)
    return torch.cat(parts, 1)


@pytest.mark.parametrize("balanced", [False, True])
def test_rows_of_a_fold_score_as_ridge_regression_fitted_on_the_other_folds(balanced: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    values, labels = torch.randn(50, 6, generator=generator, dtype=torch.float64), torch.arange(50) ** 2 % CLASSES
    of, onehot = facts(labels, balanced=balanced), np.eye(CLASSES)[labels]
    sums = no_sums(6, num_folds=FOLDS, num_classes=CLASSES)
    add_rows(sums, values + 3, of)
    for fold in range(FOLDS):
        fit = of.folds != fold
        weights, bias = Moments.of(sums.sum(0) - sums[fold]).ridge(2.0)
        model = Ridge(alpha=2.0).fit(values[fit] + 3, onehot[fit], sample_weight=of.weights[fit].numpy())
        np.testing.assert_allclose((values + 3) @ weights + bias, model.predict(values + 3), atol=1e-9)


def test_sums_without_a_fold_are_those_of_the_other_rows_and_two_halves_add_up() -> None:
    features, labels = rows()
    of = facts(labels)
    reads = Coordinates.of(scaled_rows(features, Targets.of(labels, num_classes=CLASSES)))
    whole = summed(reads, features, of)
    others = of.folds != 1
    refitted = summed(reads, {tap: part[others] for tap, part in features.items()}, of.some(others)).sum(0)
    torch.testing.assert_close(whole.sum(0) - whole[1], refitted, atol=1e-10, rtol=1e-10)
    halves = [
        summed(reads, {tap: part[half] for tap, part in features.items()}, of.some(half))
        for half in (slice(0, 25), slice(25, None))
    ]
    torch.testing.assert_close(halves[0] + halves[1], whole, atol=1e-10, rtol=1e-10)


def test_a_probe_from_sums_is_standardized_by_all_rows_although_few_made_its_coordinates() -> None:
    features, labels = rows()
    of, few = facts(labels), slice(0, 20)
    some = {tap: part[few] for tap, part in features.items()}
    reads = Coordinates.of(scaled_rows(some, Targets.of(labels[few], num_classes=CLASSES)))
    probe = SumsProbe(reads, summed(reads, features, of), kept=features, folds=of.folds)
    scaled, onehot = standardized(features).numpy(), np.eye(CLASSES)[labels]
    unit = (scaled**2).sum() / len(labels)
    for penalty, scores in zip(PENALTIES, probe.left_out_scores(), strict=True):
        for fold in range(FOLDS):
            fit = (of.folds != fold).numpy()
            model = Ridge(alpha=penalty * unit).fit(scaled[fit], onehot[fit])
            np.testing.assert_allclose(scores[~fit], model.predict(scaled[~fit]), atol=1e-6)
        whole = Ridge(alpha=penalty * unit).fit(scaled, onehot)
        np.testing.assert_allclose(probe.linear(penalty)(features), whole.predict(scaled), atol=1e-6)


def test_a_wide_probe_is_ridge_regression_in_the_span_of_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums_probe, "NUM_LANDMARKS", 6)
    features, labels = rows()
    of, targets = facts(labels), Targets.of(labels, num_classes=CLASSES)
    scaled = scaled_rows(features, targets)
    reads = Coordinates.of(scaled)
    assert reads.width == 6 < sum(TAPS.values())
    probe = SumsProbe(reads, summed(reads, features, of), kept=features, folds=of.folds)
    assert reads.basis is not None
    coordinates = torch.cat([part.values for part in scaled.values()], 1) @ reads.basis.double()
    unit = float((coordinates - coordinates.mean(0)).square().sum()) / len(labels)
    model = Ridge(alpha=0.1 * unit).fit(coordinates, np.eye(CLASSES)[labels])
    np.testing.assert_allclose(probe.linear(0.1)(features), model.predict(coordinates), atol=1e-5)  # float32


def test_constant_features_and_equal_rows_say_nothing() -> None:
    features, labels = rows(30)
    features[Tap(1, 1)][:, 2] = 7.3
    of, targets = facts(labels), Targets.of(labels, num_classes=CLASSES)
    reads = Coordinates.of(scaled_rows(features, targets))
    linear = SumsProbe(reads, summed(reads, features, of), kept=features, folds=of.folds).linear(0.1)
    assert float(linear.weights[Tap(1, 1)][2].abs().max()) < 1e-6
    equal = {tap: torch.full((30, width), 3.7) for tap, width in TAPS.items()}
    reads = Coordinates.of(scaled_rows(equal, targets))
    blind: Linear = SumsProbe(reads, summed(reads, equal, of), kept=equal, folds=of.folds).linear(0.1)
    torch.testing.assert_close(blind(equal), torch.full((30, CLASSES), 1 / 3, dtype=torch.float64))


def test_a_group_lies_in_one_fold() -> None:
    labels = torch.arange(80) // 2 % CLASSES
    of = facts(labels, groups=torch.arange(80) // 2)
    assert torch.equal(of.folds[::2], of.folds[1::2])
    assert torch.bincount(of.folds, minlength=FOLDS).tolist() == [20] * FOLDS

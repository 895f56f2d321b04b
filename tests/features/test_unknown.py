"""Distances from the known classes: by hand, against scikit-learn, and what they tell apart."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from thawline.features.extract import Tap
from thawline.features.unknown import _reduced, fit_known, fit_unknown, separation, share_nearer, unknown_threshold

EARLY, LATE = Tap(1, 1), Tap(5, 1)


def clusters(
    num_classes: int, per_class: int, *, seed: int, width: int = 6, apart: float = 4.0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    means = apart * torch.randn(num_classes, width, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(num_classes).repeat_interleave(per_class)
    return means[labels] + torch.randn(len(labels), width, generator=generator), labels


def test_distances_are_mahalanobis_distances_with_a_shrunk_covariance() -> None:
    rows, labels = clusters(3, 30, seed=0)
    means = torch.stack([rows[labels == index].mean(0) for index in range(3)])
    shrunk = LedoitWolf(assume_centered=True).fit((rows - means[labels]).numpy())
    new = torch.randn(5, 6)
    by_hand = [
        min(np.sqrt((x - m) @ shrunk.precision_ @ (x - m)) for m in means.double().numpy())
        for x in new.double().numpy()
    ]
    assert fit_known(rows, labels).distances(new).tolist() == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize("shape", [(30, 200), (200, 30), (300, 150)])
def test_the_space_is_that_of_scikit_learns_principal_components(shape: tuple[int, int]) -> None:
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows *= torch.linspace(3, 1, shape[1], dtype=torch.float64)
    reduced, centre, axes = _reduced(rows)
    theirs = PCA(axes.shape[1], svd_solver="full").fit(rows.numpy())
    assert axes.shape[1] == min(128, shape[1], shape[0] - 1)
    torch.testing.assert_close(axes @ axes.T, torch.from_numpy(theirs.components_.T @ theirs.components_))
    torch.testing.assert_close((rows - centre) @ axes, reduced)


def test_classes_that_were_left_out_lie_farther_away() -> None:
    assert separation(clusters(5, 20, seed=0), clusters(5, 20, seed=1)) > 0.95
    labels = torch.arange(5).repeat_interleave(20)
    noise = torch.randn(100, 6), labels
    assert abs(separation((torch.randn(100, 6), labels), noise) - 0.5) < 0.1


def test_the_separation_by_hand() -> None:
    """On a line, with classes about 0 and 10. Without class 0 its images lie 10 and 2 from the other mean, known ones 0
    and 3: of four pairs one is the wrong way round. Without class 1 all four are right."""
    labels = torch.tensor([0, 0, 1, 1])
    train, others = torch.tensor([[-1.0], [1.0], [9.0], [11.0]]), torch.tensor([[0.0], [8.0], [10.0], [13.0]])
    assert separation((train, labels), (others, labels)) == pytest.approx((3 / 4 + 1) / 2)


def test_what_is_left_out_shapes_nothing_not_even_the_principal_components() -> None:
    """More channels than components are kept, and classes that lie near each other; 0.99 with components of both."""
    (rows, labels), (others, other_labels) = (clusters(2, n, seed=n, width=200, apart=0.4) for n in (150, 20))
    alone = []
    for out in (0, 1):
        far = fit_known(rows[labels != out], labels[labels != out]).distances(others)
        alone.append(roc_auc_score((other_labels == out).numpy(), far.numpy()))
    assert separation((rows, labels), (others, other_labels)) == pytest.approx(sum(alone) / 2, abs=1e-9)
    assert sum(alone) / 2 < 0.97


def test_the_stage_that_separates_best_is_taken() -> None:
    (rows, labels), (others, other_labels) = clusters(4, 25, seed=0), clusters(4, 25, seed=1)
    noise, more_noise = torch.randn(100, 6), torch.randn(100, 6)
    fitted = fit_unknown({EARLY: noise, LATE: rows}, labels, {EARLY: more_noise, LATE: others}, other_labels)
    assert fitted.tap == LATE
    assert fitted.auroc > 0.95
    shares = share_nearer(fitted.known.distances(others), fitted.quantiles)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share_nearer(fitted.known.distances(100 + others), fitted.quantiles).min()) == 1.0


def test_shares_by_hand() -> None:
    quantiles = torch.tensor([1.0, 2.0, 4.0])
    assert share_nearer(torch.tensor([0.0, 1.0, 1.5, 2.0, 3.0, 9.0]), quantiles).tolist() == [0, 0, 0.25, 0.5, 0.75, 1]


def test_the_threshold_by_hand() -> None:
    scores = torch.linspace(0, 1, 41)  # ceil(42 * 0.95) = 40th of 41
    assert unknown_threshold(scores) == pytest.approx(39 / 40 + 1e-6, abs=1e-7)
    assert unknown_threshold(scores, share=0.5) == pytest.approx(0.5 + 1e-6, abs=1e-7)  # the 21st
    assert unknown_threshold(scores[:19]) == pytest.approx(18 / 40 + 1e-6, abs=1e-7)  # the last of 19
    assert unknown_threshold(torch.linspace(0, 1, 19)) == 1.0  # what lies farther than all has the score 1
    assert unknown_threshold(scores[:18]) is None


def test_new_images_of_known_classes_are_called_unknown_as_rarely_as_promised() -> None:
    """Distances are exponential; 39 images fit the threshold: floor(40 * 0.05) / 40 = 0.05 exactly."""
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(120):
        known = -torch.rand(39, generator=generator).log()
        quantiles = known.quantile(torch.linspace(0, 1, 101))
        threshold = unknown_threshold(share_nearer(known, quantiles))
        new = share_nearer(-torch.rand(200, generator=generator).log(), quantiles)
        rates.append(float((new >= threshold).double().mean()))
    mean, error = np.mean(rates), np.std(rates) / np.sqrt(len(rates))
    assert abs(mean - 0.05) < 4 * error


def test_more_features_than_images_and_constant_features_are_no_problem() -> None:
    rows, labels = torch.randn(12, 400), torch.arange(12) % 3
    assert torch.isfinite(fit_known(rows, labels).distances(torch.randn(4, 400))).all()
    assert torch.isfinite(fit_known(torch.ones(12, 5), labels).distances(torch.zeros(2, 5))).all()

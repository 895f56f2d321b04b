"""Balanced accuracy by hand and against scikit-learn."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from thawline.training.metrics import BalancedAccuracy, balanced_accuracy


def test_a_class_without_images_does_not_count() -> None:
    # Class 0: 4 of 5 recognised; class 1 has no image, though one image was taken for it.
    assert balanced_accuracy(torch.tensor([4, 0]), torch.tensor([5, 0])) == pytest.approx(0.8)


def test_batches_add_up_to_scikit_learns_score() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(60, 5, generator=generator), torch.randint(0, 4, (60,), generator=generator)
    metric = BalancedAccuracy(5)
    for part in range(0, 60, 20):
        metric.update(logits[part : part + 20], labels[part : part + 20])
    with pytest.warns(UserWarning, match="y_pred contains classes"):
        expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert metric.compute() == pytest.approx(expected)

"""Balanced accuracy by hand and against scikit-learn."""

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from thawline.training.metrics import MOST_CONFUSED, BalancedAccuracy, balanced_accuracy, counted, counting


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


def test_very_many_classes_are_counted_without_every_pair() -> None:
    classes = MOST_CONFUSED + 1
    guesses, labels = torch.tensor([3, 3, 7, 200]), torch.tensor([3, 7, 7, 3])
    logits = torch.nn.functional.one_hot(guesses, classes).float()
    metric = counting(classes)
    metric.update(logits[:3], labels[:3])
    metric.update(logits[3:], labels[3:])
    counts = counted(metric)
    assert counts.confusion is None
    few = counting(MOST_CONFUSED)
    few.update(logits[:3, :MOST_CONFUSED], labels[:3])
    assert counted(few).confusion is not None
    assert (counts.true[3], counts.true[7], counts.true.sum()) == (2, 2, 4)
    assert (counts.predicted[3], counts.predicted[200], counts.predicted.sum()) == (2, 1, 4)
    assert (counts.right[3], counts.right[7], counts.right.sum()) == (1, 1, 2)


def test_the_counts_of_20_000_classes_take_little_memory() -> None:
    metric = counting(20_000)
    assert sum(state.numel() * state.element_size() for state in metric.metric_state.values()) < 1e6

"""Scores of guesses against scikit-learn, also where a class is absent or never guessed."""

import warnings

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from thawline.features.guess_scores import guess_scores
from thawline.training.metrics import scores


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_scikit_learns(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(0, classes - 1, (40,), generator=generator)  # none of the last class
    guesses = torch.where(
        torch.rand(40, generator=generator) < 0.5, labels, torch.randint(classes, (40,), generator=generator)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a guess of a class that is absent
        expected = (
            accuracy_score(labels, guesses),
            balanced_accuracy_score(labels, guesses),
            f1_score(labels, guesses, average="macro"),
        )
    assert tuple(vars(guess_scores(guesses, labels, num_classes=classes)).values()) == pytest.approx(expected)
    of_batches = scores("val", classes)
    onehot = torch.nn.functional.one_hot(guesses, classes).float()
    for part in (slice(0, 15), slice(15, 40)):
        of_batches.update(onehot[part], labels[part])
    assert [float(value) for value in of_batches.compute().values()] == pytest.approx(expected, abs=1e-6)

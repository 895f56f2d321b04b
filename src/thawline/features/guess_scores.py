"""Scores of guessed classes: accuracy, balanced accuracy, which is the mean recall, and macro F1."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GuessScores:
    """Each in [0, 1]."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float


def guess_scores(guesses: Tensor, labels: Tensor, *, num_classes: int) -> GuessScores:
    """Scores as scikit-learn's: recall over classes that have images, F1 over those that have some or were guessed.

    >>> guess_scores(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 1]), num_classes=2)
    GuessScores(accuracy=0.75, balanced_accuracy=0.75, macro_f1=0.7333333333333334)

    Args:
        guesses, labels: Class indices, (N,), int64, N > 0.
    """
    guessed, support, hits = (
        torch.bincount(of, minlength=num_classes).double() for of in (guesses, labels, labels[guesses == labels])
    )
    there = guessed + support > 0
    f1 = (2 * hits[there] / (guessed + support)[there]).mean()
    return GuessScores(float(hits.sum() / len(labels)), float(balanced_accuracy(hits, support)), float(f1))


def balanced_accuracy(true_positives: Tensor, support: Tensor) -> Tensor:
    """Mean over the classes with images of the share of their images that were recognised.

    Args:
        true_positives, support: Images recognised and images in all, per class, (K,), integer.
    Returns:
        Scalar in [0, 1]; a class without images does not count, as in scikit-learn's `balanced_accuracy_score`.
    """
    there = support > 0
    return (true_positives[there] / support[there]).mean()

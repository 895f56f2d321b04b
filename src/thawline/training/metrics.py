"""Scores of a classifier: accuracy, balanced accuracy, which is the mean recall over the classes, and macro F1."""

from typing import NamedTuple

from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassStatScores,
)

from thawline.features.guess_scores import balanced_accuracy

# Classes up to which every pair is counted. Chosen: then run.json holds 40,000 numbers; of 20,000 classes the counts
# would take 3 GB, and as much again in every batch.
MOST_CONFUSED = 200


class ClassCounts(NamedTuple):
    """Test images of each class.

    Attributes:
        true, predicted, right: Images of the class, taken for it, and both, (K,), int64.
        confusion: By true and predicted class, (K, K), int64; None for more than `MOST_CONFUSED` classes.
    """

    true: Tensor
    predicted: Tensor
    right: Tensor
    confusion: Tensor | None

    @classmethod
    def of(cls, confusion: Tensor) -> "ClassCounts":
        """From images by true and predicted class, (K, K)."""
        return cls(confusion.sum(1), confusion.sum(0), confusion.diagonal(), confusion)


def counting(num_classes: int) -> MulticlassConfusionMatrix | MulticlassStatScores:
    """Counts the images of batches of (logits (B, K), class indices (B,)); `counted` reads it."""
    if num_classes <= MOST_CONFUSED:
        return MulticlassConfusionMatrix(num_classes, validate_args=False)  # rows are the true classes
    return MulticlassStatScores(num_classes, average=None, validate_args=False)


def counted(metric: MulticlassConfusionMatrix | MulticlassStatScores) -> ClassCounts:
    """Over all processes."""
    counts = metric.compute().cpu()
    if isinstance(metric, MulticlassConfusionMatrix):
        return ClassCounts.of(counts)
    right, wrongly = counts[:, 0], counts[:, 1]  # true and false positives; true and false negatives, support
    return ClassCounts(counts[:, 4], right + wrongly, right, None)


class BalancedAccuracy(MulticlassStatScores):
    """`balanced_accuracy` over batches of (logits (B, K), class indices (B,))."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average=None, validate_args=False)

    def compute(self) -> Tensor:
        scores = super().compute()  # (K, 5): true and false positives, true and false negatives, support
        return balanced_accuracy(scores[:, 0], scores[:, 4])


def accuracy(num_classes: int) -> MulticlassAccuracy:
    """Labels come from the data source, which checked them. To check them again, a GPU would wait in every step."""
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def scores(split: str, num_classes: int) -> MetricCollection:
    """`SPLIT/accuracy`, `SPLIT/balanced_accuracy` and `SPLIT/macro_f1` over batches of (logits (B, K), classes (B,)).

    Macro F1 is the mean over the classes that have images or were predicted, as in scikit-learn.
    """
    kinds = {
        "accuracy": accuracy(num_classes),
        "balanced_accuracy": BalancedAccuracy(num_classes),
        "macro_f1": MulticlassF1Score(num_classes, average="macro", validate_args=False),
    }
    return MetricCollection({f"{split}/{name}": kind for name, kind in kinds.items()}, compute_groups=False)

"""Scores of a classifier: accuracy, balanced accuracy, which is the mean recall over the classes, and macro F1."""

from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassStatScores

from thawline.features.guess_scores import balanced_accuracy


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

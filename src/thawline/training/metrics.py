"""Balanced accuracy: the mean recall over the classes that are there."""

from torch import Tensor
from torchmetrics.classification import MulticlassStatScores


def balanced_accuracy(true_positives: Tensor, support: Tensor) -> Tensor:
    """Mean over the classes with images of the share of their images that were recognised.

    Args:
        true_positives, support: Images recognised and images in all, per class, (K,), integer.
    Returns:
        Scalar in [0, 1]; a class without images does not count, as in scikit-learn's `balanced_accuracy_score`.
    """
    there = support > 0
    return (true_positives[there] / support[there]).mean()


class BalancedAccuracy(MulticlassStatScores):
    """`balanced_accuracy` over batches of (logits (B, K), class indices (B,))."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average=None, validate_args=False)

    def compute(self) -> Tensor:
        scores = super().compute()  # (K, 5): true and false positives, true and false negatives, support
        return balanced_accuracy(scores[:, 0], scores[:, 4])

"""Prediction sets: the classes that are likely enough for one of them to be right as often as was promised."""

from collections.abc import Sequence

from torch import Tensor


def in_set(probabilities: Tensor, threshold: float | Tensor) -> Tensor:
    """Which classes (N, K) are in each image's set: those above the threshold, and the likeliest."""
    sets = probabilities >= threshold
    return sets.scatter(1, probabilities.argmax(1, keepdim=True), True)


def named_sets(probabilities: Tensor, names: Sequence[str], *, threshold: float) -> list[tuple[str, ...]]:
    """The classes in each image's set, the likeliest first.

    Args:
        probabilities: (B, K); names: of the K classes; threshold: `Calibration.set_threshold`.

    >>> from torch import tensor
    >>> named_sets(tensor([[0.3, 0.6, 0.1], [0.2, 0.4, 0.4]]), ["cat", "dog", "owl"], threshold=0.25)
    [('dog', 'cat'), ('dog', 'owl')]
    """
    sizes = in_set(probabilities, threshold).sum(1).tolist()
    order = probabilities.argsort(dim=1, descending=True, stable=True)[:, : max(sizes, default=0)].tolist()
    return [tuple(names[index] for index in row[:size]) for row, size in zip(order, sizes, strict=True)]

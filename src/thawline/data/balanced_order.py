"""The order of an epoch in which every class comes equally often, or images as often as their weights say."""

import numpy as np

from thawline.data.sources.source import FloatArray, IntArray


def balanced_order(
    labels: IntArray, generator: np.random.Generator, *, weights: FloatArray | None = None
) -> tuple[IntArray, IntArray]:
    """As many images as there are, every class equally often to within one, in random order.

    Of a large class some are left out, others in the next epoch; those of a small class come again and again. No image
    comes once more before all of its class came: so the draws of an epoch differ less than independent ones would.

    Args:
        labels: Class of each of N images, (N,).
        weights: (N,), > 0: inside its class an image comes in proportion to its weight, to within one time. None takes
            all alike.
    Returns:
        Positions (N,), and how often each came before in this order, (N,).
    """
    present = generator.permutation(np.unique(labels))  # who gets the remainder
    sizes = np.full(len(present), len(labels) // len(present))
    sizes[: len(labels) % len(present)] += 1
    positions, repeats = [], []
    for label, size in zip(present, sizes, strict=True):
        of_class = np.flatnonzero(labels == label)
        if weights is None:
            rounds = -(-size // len(of_class))
            positions.append(np.concatenate([generator.permutation(of_class) for _ in range(rounds)])[:size])
            repeats.append(np.repeat(np.arange(rounds), len(of_class))[:size])
        else:
            of_class = generator.permutation(of_class)
            counts = _systematic(weights[of_class], size, generator)
            positions.append(np.repeat(of_class, counts))
            repeats.append(np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts))
    order = generator.permutation(len(labels))
    return np.concatenate(positions)[order], np.concatenate(repeats)[order]


def weighted_order(weights: FloatArray, generator: np.random.Generator) -> tuple[IntArray, IntArray]:
    """As `balanced_order`, with all images in one class."""
    return balanced_order(np.zeros(len(weights), dtype=np.int64), generator, weights=weights)


def _systematic(weights: FloatArray, total: int, generator: np.random.Generator) -> IntArray:
    """How often each comes, (n,), int64, of `total`: its share, rounded up or down so that it is right on average."""
    ends = np.floor(np.cumsum(weights) * (total / weights.sum()) + generator.random()).astype(np.int64)
    ends[-1] = total
    counts: IntArray = np.diff(ends, prepend=0)
    return counts

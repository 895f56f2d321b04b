"""The order of an epoch in which every class comes equally often."""

import numpy as np

from thawline.data.sources.source import IntArray


def balanced_order(labels: IntArray, generator: np.random.Generator) -> tuple[IntArray, IntArray]:
    """As many images as there are, every class equally often to within one, in random order.

    Of a large class some are left out, others in the next epoch; those of a small class come again and again. No image
    comes once more before all of its class came: so the draws of an epoch differ less than independent ones would.

    Args:
        labels: Class of each of N images, (N,).
    Returns:
        Positions (N,), and how often each came before in this order, (N,).
    """
    present = generator.permutation(np.unique(labels))  # who gets the remainder
    sizes = np.full(len(present), len(labels) // len(present))
    sizes[: len(labels) % len(present)] += 1
    positions, repeats = [], []
    for label, size in zip(present, sizes, strict=True):
        of_class = np.flatnonzero(labels == label)
        rounds = -(-size // len(of_class))
        positions.append(np.concatenate([generator.permutation(of_class) for _ in range(rounds)])[:size])
        repeats.append(np.repeat(np.arange(rounds), len(of_class))[:size])
    order = generator.permutation(len(labels))
    return np.concatenate(positions)[order], np.concatenate(repeats)[order]

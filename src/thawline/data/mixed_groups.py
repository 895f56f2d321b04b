"""Splits off whole groups whose images have several classes: a patient with images of both, say."""

import numpy as np

from thawline.data.sources.source import IntArray


def members_by_class(pool: IntArray, labels: IntArray, groups: IntArray, *, num_classes: int) -> IntArray:
    """How many images of each class each group in `pool` has: (G, K), int64, groups in ascending order."""
    number = np.unique(groups[pool], return_inverse=True)[1]
    counts = np.zeros((int(number.max()) + 1, num_classes), dtype=np.int64)
    np.add.at(counts, (number, labels[pool]), 1)
    return counts


def take_groups(counts: IntArray, quotas: IntArray, *, leave: int, rng: np.random.Generator) -> IntArray:
    """Choose groups at random whose images come near to the quotas.

    One pass over the groups in random order: a group is taken where that brings
    the classes' shares nearer to their quotas. Then classes without an image get the smallest group that has one. In
    any case `leave` groups of every class stay. O(G K).

    Args:
        counts: Images of every class in every group, (G, K), int64.
        quotas: Images of every class to take, (K,), int64.
    Returns:
        Positions of the groups, int64.
    """
    weights = 1.0 / np.maximum(1, counts.sum(axis=0))
    stay = (counts > 0).sum(axis=0) - leave  # (K,) groups of each class that may go
    taken: list[int] = []
    have = np.zeros(counts.shape[1], dtype=np.int64)

    def take(group: int) -> None:
        nonlocal have, stay
        taken.append(group)
        have, stay = have + counts[group], stay - (counts[group] > 0)

    order = rng.permutation(len(counts))
    for group in order:
        before = (((have - quotas) * weights) ** 2).sum()
        after = (((have + counts[group] - quotas) * weights) ** 2).sum()
        if after < before and (stay[counts[group] > 0] > 0).all():
            take(int(group))
    for label in np.flatnonzero((quotas > 0) & (have == 0)):
        if have[label]:
            continue  # came with another class's group
        able = [g for g in order if counts[g, label] and (stay[counts[g] > 0] > 0).all() and g not in taken]
        if able:
            take(int(min(able, key=lambda g: counts[g].sum())))
    return np.array(sorted(taken), dtype=np.int64)

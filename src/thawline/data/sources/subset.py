"""Which images of a source are used: a stratified random subset, or consecutive splits of generated images."""

from collections.abc import Mapping

import numpy as np

from thawline.data.sources.source import IntArray, Split
from thawline.errors import UserError


def evenly_spread(number: int, most: int) -> IntArray:
    """At most `most` of the places 0 to `number` - 1, evenly spread, ascending."""
    return np.unique(np.linspace(0, max(number - 1, 0), min(number, most)).round().astype(np.int64))


def stratified_subset(labels: IntArray, num_images: int, *, seed: int) -> IntArray:
    """Choose `num_images` images at random, each class in proportion to its frequency.

    Args:
        labels: Class index per image, (N,), int64.
        num_images: Size of the subset, in [1, N].
        seed: The same seed gives the same subset, on every machine.
    Returns:
        Indices into `labels`, (num_images,), int64, ascending.
    Raises:
        ValueError: `num_images` is outside [1, N].
    """
    if not 1 <= num_images <= len(labels):
        raise ValueError(f"num_images={num_images}: allowed are 1 to {len(labels)}")
    rng = np.random.default_rng(seed)
    counts = largest_remainder(np.bincount(labels), num_images)  # (K,)
    per_class = [rng.permutation(np.flatnonzero(labels == k))[:count] for k, count in enumerate(counts)]
    return np.sort(np.concatenate(per_class)).astype(np.int64)


def largest_remainder(frequencies: IntArray, total: int) -> IntArray:
    """Divide `total` in proportion to `frequencies` by Hamilton's method.

    Every class gets the whole part of its exact share. The remainder goes to the largest fractional parts, of equal
    ones to the lower class first. All arithmetic is in whole numbers, so rounding has no effect.

    Args:
        frequencies: Members per class, (K,), int64; `total` is at most their sum.
    Returns:
        (K,), int64, with sum `total`; 0 for a class without members.
    """
    counts, remainders = np.divmod(frequencies * total, max(1, frequencies.sum()))
    counts[np.argsort(-remainders, kind="stable")[: total - counts.sum()]] += 1
    return counts


def checked_subset(labels: IntArray, num_images: int | None, *, seed: int, minimum: int, source: str) -> IntArray:
    """Indices of the images that a source uses: a stratified subset, or all images if `num_images` is None.

    Raises:
        UserError: `num_images` is below `minimum` or above the number of images, or the seed is negative.
    """
    if seed < 0:
        raise UserError(f"data.source.subset_seed={seed}: give a whole number of 0 or more")
    if num_images is None:
        return np.arange(len(labels), dtype=np.int64)
    if not minimum <= num_images <= len(labels):
        raise UserError(
            f"data.source.num_images={num_images}: {source} allows {minimum} to {len(labels)}, or null for all of them"
        )
    return stratified_subset(labels, num_images, seed=seed)


def consecutive_splits(*, num_train: int, num_val: int, num_test: int) -> dict[Split, IntArray]:
    """Give the first `num_train` images to train, the next `num_val` to val, the rest to test.

    Returns:
        Index arrays, int64; a split of 0 images is left out.
    Raises:
        UserError: `num_train` is below 1, or another count is negative.
    """
    counts: dict[Split, int] = {"train": num_train, "val": num_val, "test": num_test}
    splits: dict[Split, IntArray] = {}
    start = 0
    for split, count in counts.items():
        minimum = 1 if split == "train" else 0
        if count < minimum:
            raise UserError(f"data.source.num_{split}={count}: give a whole number of {minimum} or more")
        if count:
            splits[split] = np.arange(start, start + count, dtype=np.int64)
        start += count
    return splits


def place_in_split(splits: Mapping[Split, IntArray], index: int) -> tuple[Split, int]:
    """The split of image `index`, and its number there, from 0; `splits` come from `consecutive_splits`."""
    for split, indices in splits.items():
        if indices[0] <= index <= indices[-1]:
            return split, int(index - indices[0])
    raise IndexError(f"image {index} of {sum(map(len, splits.values()))}")

"""Fewer images than there are: seeded, every class and every given split in proportion."""

import numpy as np

from thawline.data.sources.folder_index import Index
from thawline.data.sources.source import SPLITS, IntArray
from thawline.data.sources.subset import largest_remainder
from thawline.errors import UserError


def limited(index: Index, *, max_images: int | None, max_per_class: int | None, seed: int) -> Index:
    """The index of at most `max_per_class` images of every class, and of at most `max_images` in all.

    Raises:
        UserError: A limit is no whole number from 1, or leaves a class of a split without an image.
    """
    for key, value in (("max_images", max_images), ("max_per_class", max_per_class)):
        if value is not None and (type(value) is not int or value < 1):
            raise UserError(f"data.{key}={value}: allowed are whole numbers from 1, or null for all images")
    rng = np.random.default_rng(seed)
    if max_per_class is not None:
        index = index.take(_per_class(index, max_per_class, rng))
    if max_images is not None and max_images < len(index.labels):
        index = index.take(_drawn(index, np.arange(len(index.labels)), max_images, rng, key="max_images"))
    return index


def _per_class(index: Index, most: int, rng: np.random.Generator) -> IntArray:
    kept = []
    for label in range(len(index.class_names)):
        images = np.flatnonzero(index.labels == label)
        kept.append(images if len(images) <= most else _drawn(index, images, most, rng, key="max_per_class"))
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _drawn(index: Index, images: IntArray, total: int, rng: np.random.Generator, *, key: str) -> IntArray:
    """`total` of `images`, every class of every split in proportion and with one image at least."""
    part = np.zeros(len(index.labels), dtype=np.int64) if index.parts is None else index.parts
    strata = np.unique(index.labels[images] * len(SPLITS) + part[images], return_inverse=True)[1]  # (n,)
    sizes = np.bincount(strata)
    if total < len(sizes):
        raise UserError(f"data.{key}={total}: too few; at least {len(sizes)} are needed for one of every class")
    counts = 1 + largest_remainder(sizes - 1, total - len(sizes))
    drawn = [rng.permutation(images[strata == number])[:count] for number, count in enumerate(counts)]
    return np.sort(np.concatenate(drawn)).astype(np.int64)

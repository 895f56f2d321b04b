"""What the numbers of images say of the classes: empty, too small to judge, very different in size."""

from collections.abc import Iterator

import numpy as np

from thawline.amounts import plural
from thawline.data.sources.source import IntArray
from thawline.inspection.file_facts import Facts
from thawline.inspection.issue import Issue
from thawline.inspection.listing import Listing, class_counts

# Distinct images of a class from which its labels are judged. Chosen: with four, a wrong one is a quarter of the class.
ENOUGH = 5
_SPLITS = 3  # distinct images that train, val and test take at least
_UNEVEN = 3.0  # largest : smallest class; chosen: from there accuracy and balanced accuracy part


def distinct_counts(listing: Listing, facts: Facts, families: IntArray) -> IntArray:
    """Readable images of every class that are no copies of each other, (K,), int64."""
    pairs = np.unique(np.stack([listing.index.labels[facts.images], families]), axis=1)  # (2, P)
    return np.bincount(pairs[0], minlength=len(listing.index.class_names)).astype(np.int64)


def class_issues(listing: Listing, distinct: IntArray) -> list[Issue]:
    """Issues of classes; `distinct` is what `distinct_counts` gives."""
    return [*_small(listing, distinct), *_uneven(listing)] if listing.labelled else []


def _small(listing: Listing, distinct: IntArray) -> Iterator[Issue]:
    for name, number, total in zip(
        listing.index.class_names, distinct.tolist(), class_counts(listing).values(), strict=True
    ):
        if not total:
            yield Issue("empty_class", None, 1.0, name, "no image", "add images, or remove the folder")
        elif number < ENOUGH:
            trouble = "too few for train, val and test" if number < _SPLITS else "its labels are not judged"
            detail = f"{plural(number, 'distinct image')} of {total}: {trouble}"
            yield Issue("small_class", None, 1 - number / ENOUGH, name, detail, "add images, or merge it with another")


def _uneven(listing: Listing) -> Iterator[Issue]:
    counts = {name: count for name, count in class_counts(listing).items() if count}
    if len(counts) < 2:
        return
    large, small = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    ratio = counts[large] / counts[small]
    if ratio < _UNEVEN:
        return
    share = counts[large] / sum(counts.values())
    detail = (
        f"{large} has {plural(counts[large], 'image')}, {small} {counts[small]:,} ({ratio:.1f} : 1); "
        f"always answering {large} is right {share:.0%} of the time"
    )
    yield Issue(
        "imbalance", None, 1 - 1 / ratio, "", detail, "look at the balanced accuracy; add images of the small classes"
    )

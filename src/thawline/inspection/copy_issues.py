"""Exact and near copies: inside a class, across classes (their labels contradict), across splits (leakage)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thawline.data.near_copies import groups_of_pairs, near_pairs
from thawline.data.sources.folder_content import group
from thawline.data.sources.grouping import joined
from thawline.data.sources.source import IntArray
from thawline.inspection.file_facts import Facts
from thawline.inspection.file_issues import blank_places
from thawline.inspection.issue import Issue
from thawline.inspection.listing import Listing


@dataclass(frozen=True)
class Copies:
    """Pairs of copies among the readable images.

    Attributes:
        rows, others: Places in `Facts`, (P,) each, int64.
        likeness: (P,), float64: 1 for files that are the same byte for byte, below 1 for near copies.
        families: A number for each readable image, (M,), int64, the same for copies and copies of those.
    """

    rows: IntArray
    others: IntArray
    likeness: NDArray[np.float64]
    families: IntArray


def copies_among(listing: Listing, facts: Facts, *, near_ones: bool = True) -> Copies:
    """Exact copies by their bytes, near copies by their thumbs; blank images are no near copies of each other.

    Args:
        near_ones: Whether near copies are looked for, which compares every image with every other.
    """
    digests = group(facts.rows["digest"]) if len(facts.images) else np.zeros(0, dtype=np.int64)
    first, second = _exact_pairs(listing, facts, digests)
    near, like = near_pairs(facts.thumbs if near_ones else facts.thumbs[:0])
    keep = (digests[near] != digests[like]) & ~blank_places(facts)[near]
    near, like = near[keep], like[keep]
    rows, others = np.concatenate([first, near]), np.concatenate([second, like])
    likeness = np.concatenate([np.ones(len(first)), _likeness(facts.thumbs, near, like)])
    families = groups_of_pairs(rows, others, num_images=len(facts.images))
    if listing.index.group_names is not None:  # images that the user says belong together
        names = listing.index.group_names[facts.images]
        alone = np.array([f"\0{number}" for number in range(len(names))])
        families = joined([families, np.unique(np.where(names == "", alone, names), return_inverse=True)[1]])
    return Copies(rows, others, likeness, families)


def _exact_pairs(listing: Listing, facts: Facts, digests: IntArray) -> tuple[IntArray, IntArray]:
    """Of each digest, the first image of every class and split with all the others: few pairs, and none is missed."""
    labels, parts = _labels(listing, facts), _parts(listing, facts)
    counts = np.bincount(digests) if len(digests) else np.zeros(0, dtype=np.int64)
    order, ends = np.argsort(digests, kind="stable"), np.cumsum(counts)
    pairs = set[tuple[int, int]]()
    for number in np.flatnonzero(counts > 1):
        members = order[ends[number] - counts[number] : ends[number]]
        firsts = members[np.unique(np.stack([labels[members], parts[members]]), axis=1, return_index=True)[1]]
        pairs |= {(min(a, b), max(a, b)) for a in firsts.tolist() for b in members.tolist() if a != b}
    array = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _labels(listing: Listing, facts: Facts) -> IntArray:
    return listing.index.labels[facts.images]


def _parts(listing: Listing, facts: Facts) -> IntArray:
    parts = listing.index.parts
    return np.zeros(len(facts.images), dtype=np.int64) if parts is None else parts[facts.images]


def _likeness(thumbs: NDArray[np.uint8], rows: IntArray, others: IntArray) -> NDArray[np.float64]:
    """1 less the root mean square difference of the thumbs, of 255, of the better of as it is and mirrored."""
    likeness = []
    for row, other in zip(rows, others, strict=True):
        one, two = thumbs[row].astype(np.float64), thumbs[other].astype(np.float64)
        apart = min(((one - two) ** 2).mean(), ((one[:, ::-1] - two) ** 2).mean())
        likeness.append(0.999 * (1 - apart**0.5 / 255))  # 1 is for identical files
    return np.array(likeness, dtype=np.float64)


def copy_issues(listing: Listing, facts: Facts, copies: Copies) -> list[Issue]:
    """One issue an image and kind at most, with the likest copy.

    Both sides of a contradiction are listed. Across splits it is the image of the earlier split, in the order train,
    val, test, so that leaving it out keeps the test images. Inside a class it is every copy but the first.
    """
    labels, parts = _labels(listing, facts), _parts(listing, facts)
    rows, others = copies.rows, copies.others
    conflict = (labels[rows] != labels[others]) & listing.labelled
    leak = parts[rows] != parts[others]
    swap = parts[rows] > parts[others]
    early, late = np.where(swap, others, rows), np.where(swap, rows, others)
    both = np.concatenate([rows, others]), np.concatenate([others, rows])
    twice = np.concatenate([copies.likeness, copies.likeness])
    same = ~leak & ~(labels[rows] != labels[others])
    return [
        *_issues(listing, facts, "label_conflict", *(side[np.tile(conflict, 2)] for side in (*both, twice))),
        *_issues(listing, facts, "leakage", *(side[leak] for side in (early, late, copies.likeness))),
        *_issues(listing, facts, "copy", *(side[same] for side in (others, rows, copies.likeness))),
    ]


_SUGGESTIONS = {
    "label_conflict": "one of the two labels is wrong: leave out that image",
    "leakage": "leave it out, or move both into one split",
    "copy": "leave it out, or keep copies together with data.group_by=near_copies",
}


def _issues(
    listing: Listing, facts: Facts, kind: str, rows: IntArray, others: IntArray, likeness: NDArray[np.float64]
) -> Iterator[Issue]:
    order = np.lexsort((others, -likeness, rows))  # of every image the likest first
    firsts = order[np.unique(rows[order], return_index=True)[1]]
    for place in firsts:
        image, other = int(facts.images[rows[place]]), int(facts.images[others[place]])
        how = "the same file as" if likeness[place] == 1 else "nearly the same as"
        more = {
            "label_conflict": f", which is {listing.class_of(other)}",
            "leakage": f" in {listing.split_of(other)}",
            "copy": "",
        }[kind]
        class_name = listing.class_of(image) if listing.labelled else ""
        detail = f"{how} {listing.shown(other)}{more}"
        yield Issue(kind, image, float(likeness[place]), class_name, detail, _SUGGESTIONS[kind], other)

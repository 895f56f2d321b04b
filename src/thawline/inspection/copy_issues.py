"""Copies and crops: inside a class, across classes (their labels contradict), across splits (leakage)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thawline.data.near_copies import groups_of_pairs, near_pairs
from thawline.data.sources.folder_content import group
from thawline.data.sources.grouping import joined
from thawline.data.sources.source import IntArray
from thawline.inspection.crops import Crops
from thawline.inspection.file_facts import Facts
from thawline.inspection.file_issues import blank_places
from thawline.inspection.issue import Issue
from thawline.inspection.listing import Listing


@dataclass(frozen=True)
class Copies:
    """Pairs of copies among the readable images.

    Attributes:
        rows, others: Places in `Facts`, (P,) each, int64.
        crop: Whether the second is a part of the first, (P,), bool.
        likeness: (P,), float64: 1 for files that are the same byte for byte, below 1 for near copies.
        families: A number for each readable image, (M,), int64, the same for copies and copies of those.
    """

    rows: IntArray
    others: IntArray
    likeness: NDArray[np.float64]
    crop: NDArray[np.bool_]
    families: IntArray

    def with_crops(self, listing: Listing, facts: Facts, seen: IntArray, crops: Crops) -> "Copies":
        """These, and crops among the images `seen` (N,), which are indices among those listed."""
        places = np.searchsorted(facts.images, seen)
        rows = np.concatenate([self.rows, places[crops.outer]])
        others = np.concatenate([self.others, places[crops.inner]])
        likeness = np.concatenate([self.likeness, 0.999 * crops.likeness])  # 1 is for identical files
        crop = np.concatenate([self.crop, np.ones(len(crops.inner), dtype=bool)])
        return Copies(rows, others, likeness, crop, _families(listing, facts, rows, others))


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
    crop = np.zeros(len(rows), dtype=bool)
    return Copies(rows, others, likeness, crop, _families(listing, facts, rows, others))


def _families(listing: Listing, facts: Facts, rows: IntArray, others: IntArray) -> IntArray:
    families = groups_of_pairs(rows, others, num_images=len(facts.images))
    if listing.index.group_names is not None:  # images that the user says belong together
        names = listing.index.group_names[facts.images]
        alone = np.array([f"\0{number}" for number in range(len(names))])
        families = joined([families, np.unique(np.where(names == "", alone, names), return_inverse=True)[1]])
    return families


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
    forth = _Sides(copies.rows, copies.others, np.where(copies.crop, _WHOLE, _COPY), copies.likeness)
    back = _Sides(copies.others, copies.rows, np.where(copies.crop, _CROP, _COPY), copies.likeness)
    differ = labels[copies.rows] != labels[copies.others]
    conflict, leak = differ & listing.labelled, parts[copies.rows] != parts[copies.others]
    later = parts[copies.rows] > parts[copies.others]
    return [
        *_issues(listing, facts, "label_conflict", forth.where(conflict).and_also(back.where(conflict))),
        *_issues(listing, facts, "leakage", forth.where(leak & ~later).and_also(back.where(leak & later))),
        *_issues(listing, facts, "copy", back.where(~leak & ~differ)),
    ]


_COPY, _CROP, _WHOLE = 0, 1, 2  # an image is the same as the other, a part of it, or it holds the other
_HOW = ("nearly the same as", "a crop of", "the whole of its crop")
_SUGGESTIONS = {
    "label_conflict": "one of the two labels is wrong: leave out that image",
    "leakage": "leave it out, or move both into one split",
    "copy": "leave it out, or keep copies together with data.group_by=near_copies",
}
_OF_CROPS = {**_SUGGESTIONS, "copy": "leave it out"}  # thumbs, by which images are grouped, do not tell crops


@dataclass(frozen=True)
class _Sides:
    """Images that issues are about, the other of each pair, how they are related, and how alike they are: (P,) each."""

    images: IntArray
    others: IntArray
    ways: IntArray
    likeness: NDArray[np.float64]

    def where(self, those: NDArray[np.bool_]) -> "_Sides":
        return _Sides(self.images[those], self.others[those], self.ways[those], self.likeness[those])

    def and_also(self, more: "_Sides") -> "_Sides":
        return _Sides(
            np.concatenate([self.images, more.images]),
            np.concatenate([self.others, more.others]),
            np.concatenate([self.ways, more.ways]),
            np.concatenate([self.likeness, more.likeness]),
        )


def _issues(listing: Listing, facts: Facts, kind: str, of: _Sides) -> Iterator[Issue]:
    order = np.lexsort((of.others, -of.likeness, of.images))  # of every image the likest first
    firsts = order[np.unique(of.images[order], return_index=True)[1]]
    for place in firsts:
        image, other = int(facts.images[of.images[place]]), int(facts.images[of.others[place]])
        way, likeness = int(of.ways[place]), float(of.likeness[place])
        how = "the same file as" if likeness == 1 else _HOW[way]
        more = {
            "label_conflict": f", which is {listing.class_of(other)}",
            "leakage": f" in {listing.split_of(other)}",
            "copy": "",
        }[kind]
        class_name = listing.class_of(image) if listing.labelled else ""
        suggestion = (_SUGGESTIONS if way == _COPY else _OF_CROPS)[kind]
        yield Issue(kind, image, likeness, class_name, f"{how} {listing.shown(other)}{more}", suggestion, other)

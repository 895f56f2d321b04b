"""Whether classes can be told apart without looking at the images: by size, light, compression, border or file name.

A model may learn such a property instead of the subject, and fail where it is another. A forest of trees sees only the
properties, in folds that divide no family of copies. Its balanced accuracy is compared with chance, 1 / K.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import PurePosixPath
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from thawline.data.sources.source import IntArray
from thawline.data.sources.subset import stratified_subset
from thawline.inspection.file_facts import Facts
from thawline.inspection.issue import Issue
from thawline.inspection.listing import Listing

_FOLDS = 5
_TREES = 30  # chosen: with more the accuracy of a few properties does not change
_LEAST_IN_LEAF = 3  # images; chosen: a leaf of one image learns noise
_ENOUGH = 10  # distinct images of a class; chosen: two in each fold
_MOST_CLASSES = 100  # the largest; chosen: bounds the time
MOST_PROBED = 5_000  # images, drawn by class; chosen: bounds the time, and the interval is narrow
# Of the way from chance to certainty that the interval's lower end must have gone. Chosen: brightness tells any two
# classes of photographs apart a little.
_STRIKING = 0.25
_CONFIDENCE = 0.95
_ADDED = 4  # of Agresti and Coull 1998: two successes and two failures, so that no interval has length 0


@dataclass(frozen=True)
class Shortcut:
    """How well some properties of the files tell the classes apart.

    Attributes:
        properties: Which.
        accuracy, low, high: Balanced accuracy on images that were left out, and its 95 % interval.
        chance: 1 / K.
    """

    properties: str
    accuracy: float
    low: float
    high: float
    chance: float

    @property
    def is_striking(self) -> bool:
        return self.low >= self.chance + _STRIKING * (1 - self.chance)

    def text(self) -> str:
        return (
            f"{self.properties}: balanced accuracy {self.accuracy:.2f} ({self.low:.2f} to {self.high:.2f}), chance "
            f"{self.chance:.2f}"
        )


def shortcuts(listing: Listing, facts: Facts, families: IntArray, *, most: int = MOST_PROBED) -> list[Shortcut]:
    """The probe on all properties; where that is striking, also on each kind. Empty where classes are too small.

    Args:
        most: Images that are probed, at most.
    """
    places = _judged(listing, facts, families, most=most)
    labels = np.unique(listing.index.labels[facts.images[places]], return_inverse=True)[1]
    if not len(places) or labels.max() < 1:
        return []
    kinds = properties(listing, facts, places)
    folds = _folds(labels, families[places])
    every = _probed(f"{', '.join(kinds)} together", np.concatenate(list(kinds.values()), axis=1), labels, folds)
    if not every.is_striking:
        return [every]
    return [every, *(_probed(name, values, labels, folds) for name, values in kinds.items() if np.ptp(values) > 0)]


def _judged(listing: Listing, facts: Facts, families: IntArray, *, most: int) -> IntArray:
    """Places of the images of classes with enough distinct ones; a sample where there are very many."""
    labels = listing.index.labels[facts.images]
    pairs = np.unique(np.stack([labels, families]), axis=1)
    distinct = np.bincount(pairs[0], minlength=len(listing.index.class_names))
    largest = np.argsort(-distinct, kind="stable")[:_MOST_CLASSES]
    places = np.flatnonzero(np.isin(labels, largest[distinct[largest] >= _ENOUGH]))
    if len(places) > most:
        classes = np.unique(labels[places], return_inverse=True)[1].astype(np.int64)
        places = places[stratified_subset(classes, most, seed=0)]
        places = places[np.bincount(labels[places])[labels[places]] >= _FOLDS]
    return places.astype(np.int64)


def properties(listing: Listing, facts: Facts, places: IntArray) -> dict[str, NDArray[np.float64]]:
    """Kind -> its numbers for these of the readable images, (n, d)."""
    rows = facts.rows[places]
    width, height = rows["width"].astype(np.float64), rows["height"].astype(np.float64)
    names = [PurePosixPath(str(path)).suffix.lower() for path in listing.index.paths[facts.images[places]]]
    kinds = [f"{name} {kind} {mode}" for name, kind, mode in zip(names, rows["format"], rows["mode"], strict=True)]
    distinct = sorted(set(kinds))
    onehot = np.array([[kind == other for other in distinct] for kind in kinds], dtype=np.float64)
    every = {
        "size and shape": np.stack([np.log(width), np.log(height), np.log(width / height)], axis=1),
        "kind of file": onehot.reshape(len(rows), -1),
        "bytes a pixel": np.log(np.maximum(rows["bytes"], 1) / (width * height))[:, None],
        "brightness and contrast": np.stack([rows["brightness"], rows["contrast"]], axis=1),
        "colour of the border": np.asarray(rows["border"]),
    }
    return every if (rows["bytes"] > 0).all() else {k: v for k, v in every.items() if k != "bytes a pixel"}


def _folds(labels: IntArray, groups: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Images to fit on, and to judge, of each fold; no group lies in both."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow to load

    return list(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0).split(labels, labels, groups))


def _probed(
    name: str, values: NDArray[np.float64], labels: IntArray, folds: list[tuple[IntArray, IntArray]]
) -> Shortcut:
    """Cross-validated balanced accuracy of a forest on `values` (M, d)."""
    from sklearn.ensemble import ExtraTreesClassifier  # slow to load

    guesses = np.full(len(labels), -1)
    for train, test in folds:
        forest = ExtraTreesClassifier(
            _TREES, min_samples_leaf=_LEAST_IN_LEAF, class_weight="balanced", random_state=0
        ).fit(values[train], labels[train])
        guesses[test] = forest.predict(values[test])
    return balanced(name, guesses == labels, labels)


def balanced(name: str, right: NDArray[np.bool_], labels: IntArray) -> Shortcut:
    """The mean recall of the classes, and its interval: recalls of the classes are independent shares."""
    counts = np.bincount(labels).astype(np.float64)  # (K,)
    hits = np.bincount(labels, weights=right)
    recall = hits / counts
    calm = (hits + _ADDED / 2) / (counts + _ADDED)
    deviation = sqrt(float((calm * (1 - calm) / (counts + _ADDED)).sum())) / len(counts)
    reach = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2) * deviation
    mean = float(recall.mean())
    return Shortcut(name, mean, max(mean - reach, 0.0), min(mean + reach, 1.0), 1 / len(counts))


def shortcut_issues(measured: list[Shortcut]) -> Iterator[Issue]:
    """One for each striking kind of property; for all of them where no kind is striking alone."""
    alone = [one for one in measured[1:] if one.is_striking]
    for one in alone or [one for one in measured if one.is_striking]:
        score = (one.accuracy - one.chance) / (1 - one.chance)
        yield Issue("shortcut", None, min(score, 1.0), "", one.text(), "give all classes the same sources and settings")

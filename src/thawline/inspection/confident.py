"""Confident learning: which labels are probably wrong, from probabilities of images that the model was not fitted on.

An image is confidently of class j where its probability of j is at least t_j, the mean probability of j among the
images labelled j. The counts C[i, j] of images labelled i that are confidently j, scaled to the numbers of images of
each label, estimate how many labels i should be j. Of the images labelled i so many are taken for j, those with the
largest p_j - p_i first; one that the model itself answers with its label is not taken.

Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of
Artificial Intelligence Research 70 (prune by noise rate). Cost: N K.
"""

import numpy as np
from numpy.typing import NDArray

from thawline.data.sources.source import IntArray

Probabilities = NDArray[np.float64]


def thresholds(probabilities: Probabilities, labels: IntArray) -> Probabilities:
    """Mean probability of every class among the images labelled so: (N, K), (N,) -> (K,); infinite without images."""
    num_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=num_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def confident_joint(probabilities: Probabilities, labels: IntArray) -> IntArray:
    """Images labelled i (rows) that are confidently j (columns), (K, K), int64.

    An image that is confidently of several classes counts for the likeliest, one that is of none does not count.
    """
    num_classes = probabilities.shape[1]
    confident = probabilities >= thresholds(probabilities, labels)
    counted = confident.any(axis=1)
    likeliest = np.where(confident, probabilities, -1.0).argmax(axis=1)
    joint = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(joint, (labels[counted], likeliest[counted]), 1)
    return joint


def expected_counts(joint: IntArray, labels: IntArray) -> NDArray[np.float64]:
    """`joint` with every row scaled to the number of images of that label, (K, K)."""
    counts = np.bincount(labels, minlength=len(joint)).astype(np.float64)
    sums = joint.sum(axis=1)
    scaled = joint * (counts / np.maximum(sums, 1))[:, None]
    return np.asarray(scaled + np.diag(np.where(sums == 0, counts, 0.0)))


def label_errors(probabilities: Probabilities, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Images whose label is probably wrong, and the class that each probably is, (E,) and (E,), int64.

    Args:
        probabilities: (N, K), of images that the model was not fitted on; rows sum to 1.
        labels: (N,), int64.
    """
    expected = np.rint(expected_counts(confident_joint(probabilities, labels), labels)).astype(np.int64)
    guesses = probabilities.argmax(axis=1)
    suspected: dict[int, tuple[float, int]] = {}  # image -> (margin, class)
    for given, other in zip(*np.nonzero(expected), strict=True):
        if given == other:
            continue
        members = np.flatnonzero(labels == given)
        margins = probabilities[members, other] - probabilities[members, given]
        for place in np.argsort(-margins, kind="stable")[: expected[given, other]]:
            image, margin = int(members[place]), float(margins[place])
            if guesses[image] != given and margin > suspected.get(image, (0.0, 0))[0]:
                suspected[image] = (margin, int(other))
    order = sorted(suspected, key=lambda image: -suspected[image][0])
    return np.array(order, dtype=np.int64), np.array([suspected[image][1] for image in order], dtype=np.int64)

"""How good answers are: scores with intervals, calibration, confusions, and what a threshold on the answers gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.deploy.calibration_error import NUM_BINS, Compared, bins_of, compared
from thawline.features.expected import wilson_interval

_CONFIDENCE = 0.95  # of intervals
_GOALS = (0.9, 0.95, 0.98, 0.99, 0.995)  # shares of right answers that people ask for
_LEAST_ACCEPTED = 10  # images; chosen: a threshold that fewer pass says nothing
_ROUNDING = 1e-9  # images; 0.95 * 20 is not always 19
_MOST_POINTS = 200  # of a curve; a drawing shows no more
Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """`count` of `of` images, the share, and its 95 % Wilson interval; the share of nothing is None."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class.

    Attributes:
        images: That are of the class.
        f1, f1_low, f1_high: Their interval is that of TP / (TP + FP + FN), from which F1 follows.
        auroc: Of this class against all others; None where one side has no image.
    """

    name: str
    images: int
    precision: Share
    recall: Share
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    auroc: float | None


@dataclass(frozen=True)
class Bin:
    """Images whose probability lies in a span: how many, their mean probability, and the share that is right."""

    low: float
    high: float
    images: int
    confidence: float
    right: Share


@dataclass(frozen=True)
class Threshold:
    """Accept answers with a probability of `probability` or more: how many pass, and how many of them are right."""

    goal: float
    probability: float
    accepted: Share
    right: Share


@dataclass(frozen=True)
class Scores:
    """What is measured of N answers; means over classes are over those that have images.

    Attributes:
        auroc: Mean over classes, one against the rest; None where all images are of one class.
        calibration: Expected calibration error of the likeliest class, with the model's temperature and without.
        confusion: Images of a class (rows) by predicted class (columns), (K, K).
        risk_coverage: (share accepted, share of these that is right), from the surest answer on.
        thresholds: The lowest that reach a goal; without goals that all images reach, or none.
    """

    images: int
    accuracy: Share
    balanced_accuracy: float
    macro_f1: float
    auroc: float | None
    log_loss: float
    calibration: Compared
    classes: list[ClassScores]
    confusion: list[list[int]]
    bins: list[Bin]
    risk_coverage: list[tuple[float, float]]
    thresholds: list[Threshold]


def scores(log_probabilities: Array, labels: Ints, names: Sequence[str], *, temperature: float = 1.0) -> Scores:
    """Measure answers.

    Args:
        log_probabilities: (N, K), float64; labels: Number of the class, (N,); N > 0.
        names: (K,).
        temperature: That made the log-probabilities, a factor.
    """
    from sklearn.metrics import confusion_matrix, f1_score, recall_score  # slow to load

    p = np.exp(log_probabilities)
    guesses, confidence = p.argmax(1), p.max(1)
    right = guesses == labels
    confusion = confusion_matrix(labels, guesses, labels=np.arange(len(names)))
    classes = [_class_scores(name, k, confusion, p[:, k], labels) for k, name in enumerate(names)]
    aurocs = [one.auroc for one in classes if one.auroc is not None]
    means: dict[str, Any] = {"labels": np.unique(labels), "average": "macro", "zero_division": 0}  # no other classes
    return Scores(
        images=len(labels),
        accuracy=share(int(right.sum()), len(labels)),
        balanced_accuracy=float(recall_score(labels, guesses, **means)),
        macro_f1=float(f1_score(labels, guesses, **means)),
        auroc=float(np.mean(aurocs)) if aurocs else None,
        log_loss=-float(log_probabilities[np.arange(len(labels)), labels].mean()),
        calibration=compared(confidence, right, _without(temperature, log_probabilities)),
        classes=classes,
        confusion=confusion.tolist(),
        bins=reliability(confidence, right),
        risk_coverage=_thinned(_curve(confidence, right)),
        thresholds=thresholds(confidence, right),
    )


def _without(temperature: float, log_probabilities: Array) -> Array:
    """Probabilities of the likeliest class (N,) as they were before the temperature."""
    scores = log_probabilities / temperature
    scores = scores - scores.max(1, keepdims=True)
    confidence: Array = 1 / np.exp(scores).sum(1)  # of the likeliest class, whose score is 0
    return confidence


def share(count: int, of: int) -> Share:
    if not of:
        return Share(count, of, None, None, None)
    return Share(count, of, count / of, *wilson_interval(count / of, of, confidence=_CONFIDENCE))


def _class_scores(name: str, k: int, confusion: Ints, p: Array, labels: Ints) -> ClassScores:
    hits, images, guessed = int(confusion[k, k]), int(confusion[k].sum()), int(confusion[:, k].sum())
    # F1 = 2 TP / (2 TP + FP + FN) = 2 J / (1 + J) with J = TP / (TP + FP + FN), a share of images.
    jaccard = share(hits, images + guessed - hits)
    f1, low, high = (None if j is None else 2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    auroc = None
    if 0 < images < len(labels):
        from sklearn.metrics import roc_auc_score  # slow to load

        auroc = float(roc_auc_score(labels == k, p))
    return ClassScores(name, images, share(hits, guessed), share(hits, images), f1, low, high, auroc)


def reliability(confidence: Array, right: NDArray[np.bool_]) -> list[Bin]:
    """Bins of equal width that hold images: probabilities of the likeliest class (N,), and whether it is right (N,)."""
    places = bins_of(confidence)
    bins = []
    for place in np.unique(places):
        inside = places == place
        hits = share(int(right[inside].sum()), int(inside.sum()))
        span = (float(place / NUM_BINS), float((place + 1) / NUM_BINS))
        bins.append(Bin(*span, int(inside.sum()), float(confidence[inside].mean()), hits))
    return bins


def confused_pairs(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> list[tuple[str, str, Share]]:
    """(class, taken for, of the images of the class) for every confusion, the most images first."""
    counts = np.asarray(confusion)
    pairs = [
        (names[i], names[j], share(int(counts[i, j]), int(counts[i].sum())))
        for i, j in zip(*np.nonzero(counts), strict=True)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: (-pair[2].count, -(pair[2].value or 0)))


def thresholds(confidence: Array, right: NDArray[np.bool_]) -> list[Threshold]:
    """The lowest probability from which on the answers reach each goal, for goals above what all images reach.

    Args:
        confidence: Probability of the likeliest class, (N,); right: Whether it is the right one, (N,).
    """
    order = np.argsort(-confidence, kind="stable")
    surest, hits = confidence[order], np.cumsum(right[order])
    accepted = np.arange(1, len(order) + 1)
    whole = np.append(surest[1:] < surest[:-1], True)  # images of equal probability pass together
    result = []
    for goal in _GOALS:
        good = np.flatnonzero(whole & (hits >= goal * accepted - _ROUNDING) & (accepted >= _LEAST_ACCEPTED))
        if len(good) and good[-1] + 1 < len(order):
            last = int(good[-1])
            passing = share(last + 1, len(order)), share(int(hits[last]), last + 1)
            result.append(Threshold(goal, float(surest[last]), *passing))
    return _last_of_equal(result)


def _last_of_equal(lines: list[Threshold]) -> list[Threshold]:
    """Of thresholds at the same probability, that with the highest goal."""
    return list({one.probability: one for one in lines}.values())


def _curve(confidence: Array, right: NDArray[np.bool_]) -> list[tuple[float, float]]:
    order = np.argsort(-confidence, kind="stable")
    accepted = np.arange(1, len(order) + 1)
    whole = np.append(confidence[order][1:] < confidence[order][:-1], True)
    accuracy = np.cumsum(right[order]) / accepted
    return [(float(n / len(order)), float(a)) for n, a in zip(accepted[whole], accuracy[whole], strict=True)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= _MOST_POINTS:
        return points
    return [points[int(i)] for i in np.linspace(0, len(points) - 1, _MOST_POINTS).round()]

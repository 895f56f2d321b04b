"""Make probabilities mean something: a temperature, the calibration error, and sets that hold the right class."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.deploy.calibration_error import Compared, compared
from thawline.deploy.description import AS_TRAINED, EQUAL, Calibration
from thawline.deploy.prediction_sets import in_set
from thawline.features.expected import wilson_interval
from thawline.features.left_out import Targets
from thawline.features.temperature import fit_temperature

COVERAGE = 0.9  # of prediction sets
# A class-conditional threshold needs one image more than would make it infinite at COVERAGE: ceil(0.9 (n + 1)) <= n.
_LEAST_OF_A_CLASS = math.ceil(COVERAGE / (1 - COVERAGE))
_CONFIDENCE = 0.95  # of intervals of the coverage
_VALUES_AT_ONCE = 2**21  # probabilities; chosen: 16 MB as float64, also where there are 20,000 classes


@dataclass(frozen=True)
class Judged:
    """Log-probabilities (N, K) of images that no choice was made on, their classes (N,), and which images they are."""

    log_probabilities: Tensor
    labels: Tensor
    by: str


def class_shares_weights(labels: Tensor, *, prior: str) -> Tensor:
    """Weights (N,), float64, mean 1, with which images of classes (N,) are as frequent as `prior` says."""
    return Targets.of(labels, num_classes=int(labels.max()) + 1, balanced=prior == EQUAL).weights


def calibrate(judged: Judged, *, prior: str = AS_TRAINED) -> Calibration:
    """Temperature with the lowest log loss, then thresholds of prediction sets at this temperature.

    Args:
        prior: What the probabilities assume of the classes; see `Calibration`. With equally frequent classes, each
            counts alike in the log loss. The sets hold the right class of images as they come all the same.
    """
    scores, labels = judged.log_probabilities.double(), judged.labels
    weights = class_shares_weights(labels, prior=prior)
    factor, _ = fit_temperature(scores, labels, weights, start=1.0)
    right = (factor * scores).softmax(1).gather(1, labels[:, None])[:, 0]
    classes = [right[labels == index] for index in range(scores.shape[1])]
    return Calibration(
        temperature=factor,
        images=len(labels),
        by=judged.by,
        coverage=COVERAGE,
        set_threshold=set_threshold(right),
        class_thresholds=[set_threshold(of) if len(of) >= _LEAST_OF_A_CLASS else 0.0 for of in classes],
        prior=prior,
    )


def set_threshold(right: Tensor, *, coverage: float = COVERAGE) -> float:
    """The probability from which on a class is in the set, by split conformal prediction.

    A new image, exchangeable with these, has its right class in the set with a probability of `coverage` at least.

    Args:
        right: Probabilities of the right class, (N,).
    Returns:
        0, which takes every class, where there are too few images.
    Source: Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels".
    """
    rank = math.ceil((len(right) + 1) * coverage)  # of the scores 1 - p, from 1
    return float(right.sort(descending=True).values[rank - 1]) if rank <= len(right) else 0.0


@dataclass(frozen=True)
class Achieved:
    """What calibration gives on images that took no part in it.

    Attributes:
        error: The calibration error without and with the temperature.
        coverage, low, high: Share of sets that hold the right class, with its 95 % Wilson interval.
        mean_size: Classes of a set.
        by_class: The coverage with a threshold for each class, of images whose class has one; None where there is none.
        class_mean_size: Classes of such a set, of all images.
    """

    error: Compared
    coverage: float
    low: float
    high: float
    mean_size: float
    by_class: "Share | None"
    class_mean_size: float


@dataclass(frozen=True)
class Share:
    """A share of `images`, with its 95 % Wilson interval."""

    share: float
    low: float
    high: float
    images: int

    @classmethod
    def of(cls, held: Tensor) -> "Share":
        """Of truth values, (N,), at least one."""
        share = float(held.double().mean())
        return cls(share, *wilson_interval(share, len(held), confidence=_CONFIDENCE), len(held))


def achieved(calibration: Calibration, log_probabilities: Tensor, labels: Tensor) -> Achieved:
    """Measure on the test images: log-probabilities (N, K) before calibration, classes (N,)."""
    rows = max(1, _VALUES_AT_ONCE // log_probabilities.shape[1])
    blocks = zip(torch.split(log_probabilities, rows), torch.split(labels, rows), strict=True)
    columns = [torch.cat(column) for column in zip(*(_measured(calibration, *block) for block in blocks), strict=True)]
    before, after, right = (column.numpy() for column in columns[:3])
    held, size, held_by_class, size_by_class = columns[3:]
    all_of, sizes = Share.of(held), [float(column.double().mean()) for column in (size, size_by_class)]
    thresholds = calibration.class_thresholds
    promised = held_by_class[:0] if thresholds is None else held_by_class[torch.tensor(thresholds)[labels] > 0]
    by_class = Share.of(promised) if len(promised) else None
    weights = class_shares_weights(labels, prior=calibration.prior).numpy()
    error = compared(after, right, before, weights=weights)
    return Achieved(error, all_of.share, all_of.low, all_of.high, sizes[0], by_class, sizes[1])


def _measured(calibration: Calibration, log_probabilities: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Per image, (n,): confidence before and after, whether right; whether covered and size, of both kinds of sets."""
    before = log_probabilities.double().softmax(1)
    after = (calibration.temperature * log_probabilities.double()).softmax(1)
    confidence, guesses = after.max(1)
    columns = [before.amax(1), confidence, guesses == labels]
    thresholds = torch.tensor(calibration.class_thresholds or [0.0], dtype=torch.float64)
    for sets in (in_set(after, calibration.set_threshold or 0.0), in_set(after, thresholds)):
        columns += [sets.gather(1, labels[:, None])[:, 0], sets.sum(1)]
    return tuple(columns)

"""What the advisor rests on: how many images, how far from the source, how well probes and pilot do."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from thawline.advisor.pilot import Pilot
from thawline.advisor.profile import DepthProfile

# Standard errors between the accuracies of a probe on folds of the training images and on the validation images, from
# which on the two count as different images. Chosen: by chance it happens once in 370 times.
SHIFTED_FROM = 3.0


@dataclass(frozen=True)
class Evidence:
    """Numbers of one target and backbone.

    Accuracies are over folds of the training images and over the validation images together, or over the latter alone
    where the two differ by more than chance: the training images then tell nothing about new ones.

    Attributes:
        num_train: Distinct training images of the whole target, not of the sample that was probed.
        distance: Overall domain distance, 0 source to 1 noise; None where the backbone does not tell.
        last: Accuracy of the probe on the last stage's features: about what feature extraction reaches.
        all_stages: Accuracy of the probe on all stages together: about what multi_layer_probe reaches.
        pilot: Accuracy of the pilot: about what fine-tuning the last two stages reaches; None where none was made.
        majority: Share of the largest class.
        shifted: Whether the validation images differ from the training images.
        num_probed: Images that the accuracies were measured on.
    """

    num_train: int
    num_classes: int
    distance: float | None
    last: float
    all_stages: float
    pilot: float | None
    majority: float
    shifted: bool
    num_probed: int


def evidence_of(profile: DepthProfile, pilot: Pilot | None, *, num_train: int, num_classes: int) -> Evidence:
    """Put together what was seen."""
    folds, others = profile.all_stages.correct, profile.held_out.all_stages.correct
    shifted = abs(standard_errors_apart(folds, others)) > SHIFTED_FROM

    def judged(in_folds: Tensor, held_out: Tensor) -> float:
        return float((held_out if shifted else torch.cat([in_folds, held_out])).double().mean())

    return Evidence(
        num_train=num_train,
        num_classes=num_classes,
        distance=profile.distances.overall.value if profile.distances else None,
        last=judged(profile.last.correct, profile.held_out.last.correct),
        all_stages=judged(folds, others),
        pilot=None if pilot is None else judged(pilot.in_folds, pilot.held_out),
        majority=profile.majority,
        shifted=shifted,
        num_probed=len(others) + (0 if shifted else len(folds)),
    )


def standard_errors_apart(correct: Tensor, others: Tensor) -> float:
    """Difference of two shares of correct answers, (N,) and (V,), bool, in standard errors: the two-proportion z."""
    num, num_others = len(correct), len(others)
    share = float(torch.cat([correct, others]).double().mean())
    error = math.sqrt(share * (1 - share) * (1 / num + 1 / num_others))
    difference = float(correct.double().mean() - others.double().mean())
    return difference / error if error else 0.0


def mean_of(several: Sequence[Evidence]) -> Evidence:
    """Of the same target, measured on other draws of its images; shifted where most of them are."""
    means: dict[str, Any] = {}
    for key in ("distance", "last", "all_stages", "pilot", "majority"):
        known = [value for one in several if (value := getattr(one, key)) is not None]
        means[key] = statistics.fmean(known) if known else None
    shifted = sum(one.shifted for one in several) * 2 > len(several)
    return replace(several[0], **means, shifted=shifted)

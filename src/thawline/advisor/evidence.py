"""The evidence for the advice: number of images, distance from the source, accuracies of probes and pilot."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.advisor.pilot import Pilot
from thawline.advisor.profile import DepthProfile
from thawline.features.judged import SHIFTED_FROM, standard_errors_apart


@dataclass(frozen=True)
class Evidence:
    """Numbers of one target and backbone.

    Accuracies are over folds of the training images and over the validation images together. If the two differ by more
    than chance, they are over the validation images alone, because the training images then do not represent new ones.

    Attributes:
        num_train: Distinct training images of the whole target, not of the probed sample.
        distance: Overall domain distance, 0 source to 1 noise; None if it is not known.
        last: Accuracy of the probe on the last stage's features, an estimate for feature extraction.
        all_stages: Accuracy of the probe on all stages together, an estimate for multi_layer_probe.
        pilot: Accuracy of the pilot, an estimate for fine-tuning the last two stages; None without a pilot.
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
    """The evidence from a profile and a pilot."""
    folds, held_out = profile.all_stages.correct, profile.held_out.all_stages.correct
    shares = (float(part.double().mean()) for part in (folds, held_out))
    apart = standard_errors_apart(next(shares), len(folds), other=next(shares), num_others=len(held_out))
    shifted = abs(apart) > SHIFTED_FROM

    def accuracy(in_folds: Tensor, held_out: Tensor) -> float:
        return float((held_out if shifted else torch.cat([in_folds, held_out])).double().mean())

    return Evidence(
        num_train=num_train,
        num_classes=num_classes,
        distance=profile.distances.overall.value if profile.distances else None,
        last=accuracy(profile.last.correct, profile.held_out.last.correct),
        all_stages=accuracy(folds, held_out),
        pilot=None if pilot is None else accuracy(pilot.in_folds, pilot.held_out),
        majority=profile.majority,
        shifted=shifted,
        num_probed=len(held_out) + (0 if shifted else len(folds)),
    )

"""What the advisor rests on: how many images, how far from the source, how well probes do."""

from collections.abc import Sequence
from dataclasses import dataclass

from thawline.advisor.profile import DepthProfile


@dataclass(frozen=True)
class Evidence:
    """Numbers of one target and backbone.

    Attributes:
        num_train: Distinct training images of the whole target, not of the sample that was probed.
        distance: Overall domain distance, 0 source to 1 noise; None where the backbone does not tell.
        last: Accuracy of the probe on the last stage's features: about what feature extraction reaches.
        best: Highest accuracy of a probe on one stage.
        all_stages: Accuracy of the probe on all stages together: about what multi_layer_probe reaches.
        majority: Share of the largest class.
        num_probed: Images that the accuracies were measured on.
    """

    num_train: int
    num_classes: int
    distance: float | None
    last: float
    best: float
    all_stages: float
    majority: float
    num_probed: int


def evidence_of(profile: DepthProfile, *, num_train: int, num_classes: int) -> Evidence:
    scores = [score.accuracy for of_grid in profile.probes.values() for score in of_grid]
    return Evidence(
        num_train=num_train,
        num_classes=num_classes,
        distance=profile.distances.overall.value if profile.distances else None,
        last=profile.last.accuracy,
        best=max(scores),
        all_stages=profile.all_stages.accuracy,
        majority=profile.majority,
        num_probed=profile.num_images,
    )


def mean_of(several: Sequence[Evidence]) -> Evidence:
    """Of the same target, measured on other draws of its images."""
    first = several[0]
    averaged = {
        key: sum(getattr(e, key) for e in several) / len(several) for key in ("last", "best", "all_stages", "majority")
    }
    known = [e.distance for e in several if e.distance is not None]
    distance = sum(known) / len(known) if known else None
    return Evidence(first.num_train, first.num_classes, distance, num_probed=first.num_probed, **averaged)

"""Labels that look wrong and images unlike all others, by what a pretrained backbone sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thawline.amounts import plural
from thawline.data.sources.source import IntArray
from thawline.errors import named
from thawline.features.expected import wilson_interval
from thawline.inspection.class_issues import ENOUGH
from thawline.inspection.confident import label_errors
from thawline.inspection.issue import Issue
from thawline.inspection.judged_images import MOST_JUDGED, Seen, left_out_distances, left_out_probabilities
from thawline.inspection.listing import Listing
from thawline.inspection.robust import FAR, modified_z, score_of_z

_CONFIDENCE = 0.95
_ENOUGH_FOR_DISTANCES = 20  # images; chosen: with fewer the spread inside the classes is a guess
_SURE = 0.8  # chosen: of a probe that is right less often, a good part of the suspects are hard images


@dataclass(frozen=True)
class Probe:
    """How well the images' classes are recognised when each is left out.

    Attributes:
        about: Which backbone.
        accuracy, low, high: Of images left out, and its 95 % interval.
        majority: Share of the largest class.
        images: That were judged.
    """

    about: str
    accuracy: float
    low: float
    high: float
    majority: float
    images: int

    def text(self) -> str:
        return (
            f"{self.about}, probes of all stages: right on {self.accuracy:.1%} ({self.low:.1%} to {self.high:.1%}) of "
            f"{plural(self.images, 'image')} left out"
        )


def model_issues(listing: Listing, seen: Seen, distinct: IntArray) -> tuple[list[Issue], Probe | None, list[str]]:
    """The issues, what was measured, and what was not judged and why, a sentence each.

    Args:
        distinct: Distinct images of every class, (K,).
    """
    issues, notes, probe = list[Issue](), list[str](), None
    if len(seen.images) == MOST_JUDGED:
        notes.append(f"labels and outliers: of a sample of {MOST_JUDGED:,} images, drawn by class")
    judged = np.flatnonzero(distinct[seen.labels] >= ENOUGH) if listing.labelled else np.zeros(0, dtype=np.int64)
    left_out = [name for name, number in zip(listing.index.class_names, distinct, strict=True) if 0 < number < ENOUGH]
    if listing.labelled and left_out:
        notes.append(f"labels of {named(left_out)} are not judged: fewer than {ENOUGH} distinct images")
    if len(np.unique(seen.labels[judged])) >= 2:
        suspects, probe = _labels(listing, seen.take(judged))
        if probe.low <= probe.majority:
            notes.append("labels are not judged: the probe is no better than answering the largest class each time")
        else:
            issues += suspects
            if suspects and probe.accuracy < _SURE:
                share = f"{1 - probe.accuracy:.0%}"
                notes.append(f"the probe is wrong on {share} of the images: many suspects may be hard, not wrong")
    elif listing.labelled:
        notes.append("labels are not judged: that takes two classes with enough images")
    if len(np.unique(seen.families)) >= _ENOUGH_FOR_DISTANCES:
        issues += _outliers(listing, seen)
    else:
        notes.append(f"outliers are not looked for: that takes {_ENOUGH_FOR_DISTANCES} distinct images")
    return issues, probe, notes


def _labels(listing: Listing, seen: Seen) -> tuple[list[Issue], Probe]:
    probabilities, classes, columns = left_out_probabilities(seen)
    right = float((probabilities.argmax(axis=1) == columns).mean())
    low, high = wilson_interval(right, len(columns), confidence=_CONFIDENCE)
    probe = Probe(seen.about, right, low, high, float(np.bincount(columns).max() / len(columns)), len(columns))
    issues = []
    for place, guess in zip(*label_errors(probabilities, columns), strict=True):
        given, p = columns[place], probabilities[place]
        name, other = (listing.index.class_names[classes[column]] for column in (given, guess))
        issues.append(
            Issue(
                "label",
                int(seen.images[place]),
                float(p[guess] - p[given]),
                name,
                f"looks like {other}: probability {p[guess]:.2f} against {p[given]:.2f}",
                f"look at it: move it to {other}, or delete this row if {name} is right",
            )
        )
    return issues, probe


def _outliers(listing: Listing, seen: Seen) -> Iterator[Issue]:
    distances = left_out_distances(seen)
    z = modified_z(distances)
    for place in np.flatnonzero(z > FAR):
        image = int(seen.images[place])
        yield Issue(
            "outlier",
            image,
            score_of_z(z[place]),
            listing.class_of(image) if listing.labelled else "",
            f"{distances[place] / np.median(distances):.1f} times the usual distance from the nearest class",
            "look at it: leave it out, or delete this row if it belongs here",
        )

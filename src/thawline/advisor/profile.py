"""DepthProfile: domain distance and accuracy of linear probes along the depth axis, from one pass over images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thawline.advisor.distance import Distances
from thawline.features.expected import Expected, wilson_interval
from thawline.features.extract import Tap
from thawline.features.stack import Stack, probe_taps

GRIDS = (1, 2)  # cells along each side of the image over which features are averaged
_CONFIDENCE = 0.95  # of the intervals


@dataclass(frozen=True)
class ProbeScore:
    """Accuracy of a probe on `num_images` images that it was not fitted on, and its penalty."""

    accuracy: float
    num_images: int
    penalty: float

    def interval(self) -> tuple[float, float]:
        """95 % bounds, as if images were independent."""
        return wilson_interval(self.accuracy, self.num_images, confidence=_CONFIDENCE)


@dataclass(frozen=True)
class DepthProfile:
    """Accuracies and distances along the depth axis.

    Attributes:
        stage_names: The S stages from the images up.
        probes: Grid -> scores of the probes at the S stages.
        all_stages: Score of the best probe that reads all stages.
        distances: Distances from the source; None if they are not known.
        expected: Accuracy of the stack of all probes on new images.
        num_images: Number of images that are left out one by one.
        majority: Share of the largest class: the accuracy of always predicting it.
    """

    stage_names: tuple[str, ...]
    probes: Mapping[int, list[ProbeScore]]
    all_stages: ProbeScore
    distances: Distances | None
    expected: Expected
    num_images: int
    majority: float

    @property
    def last(self) -> ProbeScore:
        """Score of the probe on the features of the last stage."""
        return self.probes[1][-1]

    def at(self, index: int) -> ProbeScore:
        """The better score of a stage over the grids."""
        return max((scores[index] for scores in self.probes.values()), key=lambda score: score.accuracy)

    @property
    def peak(self) -> int:
        """Index of the stage with the best probe; of equals the last."""
        return max(range(len(self.stage_names)), key=lambda index: (self.at(index).accuracy, index))


def depth_profile(
    stack: Stack,
    taps: Sequence[Tap],
    *,
    stage_names: tuple[str, ...],
    distances: Distances | None,
    expected: Expected,
    majority: float,
) -> DepthProfile:
    """The profile of a stack that reads every stage at every grid.

    Args:
        taps: What the stack reads.
    """
    num_images = len(stack.labels)
    scores = {
        read: ProbeScore(accuracy, num_images, setting.penalty)
        for read, accuracy, setting in zip(probe_taps(taps), stack.accuracies, stack.settings, strict=True)
    }
    cuts = range(1, len(stage_names) + 1)
    probes = {  # a stage without a finer grid has the score of its coarser one
        grid: [scores.get((Tap(cut, grid),)) or scores[(Tap(cut, GRIDS[0]),)] for cut in cuts] for grid in GRIDS
    }
    together = [score for read, score in scores.items() if len(read) > 1] or list(scores.values())
    best = max(together, key=lambda score: score.accuracy)
    return DepthProfile(stage_names, probes, best, distances, expected, num_images, majority)

"""DepthProfile: domain distance and linear probe accuracy along the depth axis, from pooled features of one pass."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thawline.advisor.distance import Distances
from thawline.data.sources.source import IntArray
from thawline.features.extract import Tap
from thawline.features.ridge import ProbeScore, cross_validate, gram, hold_out, make_folds

GRIDS = (1, 2)  # cells along each side of the image over which features are averaged
FINEST = max(GRIDS)
FOLD_SEED = 0


@dataclass(frozen=True)
class HeldOut:
    """Scores on the validation images, which are in no fold."""

    last: ProbeScore
    all_stages: ProbeScore


@dataclass(frozen=True)
class DepthProfile:
    """Probe accuracies and distances along the depth axis, from one pass over the target images.

    Attributes:
        stage_names: The S stages from the images up.
        probes: Grid -> scores of the probes at the S stages.
        all_stages: Score of the probe on the features of all stages side by side, averaged over the finest grid.
        distances: Distances from the source; None if they are not known.
        held_out: Scores of the last stage and of all stages, fitted on all training images, on the validation images.
        num_images: Number of training images in the folds.
        majority: Share of the largest class: the accuracy of always predicting it.
    """

    stage_names: tuple[str, ...]
    probes: Mapping[int, list[ProbeScore]]
    all_stages: ProbeScore
    distances: Distances | None
    held_out: HeldOut
    num_images: int
    majority: float

    @property
    def last(self) -> ProbeScore:
        """Score of the probe on the features of the last stage."""
        return self.probes[1][-1]


def pooled_taps(num_stages: int) -> list[Tap]:
    """The taps of a profile: pooled features of every stage, at every grid."""
    return [Tap(cut, grid) for cut in range(1, num_stages + 1) for grid in GRIDS]


def depth_profile(
    features: Mapping[Tap, Tensor],
    labels: IntArray,
    groups: IntArray,
    *,
    stage_names: tuple[str, ...],
    distances: Distances | None,
) -> DepthProfile:
    """Probe every stage, and all stages together, by cross-validation over the first N images and on the V others.

    Args:
        features: Rows (N + V, C) at every tap of `pooled_taps`.
        labels: Class indices of the images, (N + V,), int64.
        groups: Groups of the first N; images of one group lie in one fold.
    """
    num_train, num_stages = len(groups), len(stage_names)
    folds = make_folds(labels[:num_train], groups, seed=FOLD_SEED)
    targets = torch.unique(torch.from_numpy(labels), return_inverse=True)[1]  # classes without images get no number
    probes: dict[int, list[ProbeScore]] = {grid: [] for grid in GRIDS}
    together = torch.zeros(len(labels), len(labels), dtype=torch.float64)
    for cut in range(1, num_stages + 1):
        for grid in GRIDS:
            products = gram(features[Tap(cut, grid)])
            probes[grid].append(_cross_validated(products, targets, folds))
            if grid == FINEST:
                together += products
    last = gram(features[Tap(num_stages, 1)])
    all_stages = _cross_validated(together, targets, folds)
    return DepthProfile(
        stage_names,
        probes,
        all_stages,
        distances,
        HeldOut(
            hold_out(last, targets, num_fit=num_train, penalty=probes[1][-1].penalty),
            hold_out(together, targets, num_fit=num_train, penalty=all_stages.penalty),
        ),
        num_train,
        float(np.bincount(labels[:num_train]).max() / num_train),
    )


def _cross_validated(products: Tensor, targets: Tensor, folds: IntArray) -> ProbeScore:
    num_train = len(folds)
    return cross_validate(products[:num_train, :num_train], targets[:num_train], folds=folds)

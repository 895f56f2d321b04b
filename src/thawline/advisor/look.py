"""One pass over a sample of the target images: pooled features at every stage, the stack of their probes, distance."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.advisor.profile import GRIDS, DepthProfile, depth_profile
from thawline.advisor.source_distances import source_distances
from thawline.advisor.step_cost import SMALLER
from thawline.data.dataset import SplitDataset
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.sources.subset import evenly_spread, stratified_subset
from thawline.data.splits import group_leaders
from thawline.data.transforms import eval_transform
from thawline.features.feature_cache import FeatureCache
from thawline.features.in_flight import ahead
from thawline.features.left_out import Targets
from thawline.features.pace import Pace
from thawline.features.pooled import pooled_features
from thawline.features.readout import Readout, with_class_token
from thawline.features.stored_dataset import groups_and_weights
from thawline.machine.compute import Compute
from thawline.models.backbone import Backbone
from thawline.training.refit import solve_both
from thawline.training.stack_solver import StackRows

# Set by measuring: with 256 images the distance's spread over resamples is 0.01 to 0.05 wide (docs/distance.md).
MAX_DISTANCE_IMAGES = 256
_BATCH = 32
_TRAIN_PER_VAL = 4  # training images per validation image in the sample: about as in the default splits
_SAMPLED: tuple[Split, Split] = ("train", "val")


@dataclass(frozen=True)
class Sample:
    """Images for the advice.

    Attributes:
        train, held_out: Indices of training and of validation images in the source, (N,) and (V,), int64. The distance
            uses the training images only.
    """

    source: ImageSource
    train: IntArray
    held_out: IntArray


@dataclass(frozen=True)
class Look:
    """Results of the pass.

    Attributes:
        profile: Distance and probes.
        images: A batch of the sample, uint8, (B, 3, S, S), on the device.
        image_s: Seconds per image from the source through the backbone, without what comes before the first batch is
            through, unless there is one batch only; about 0 if the features came from the cache.
        solve_s: Seconds to solve for the stack.
        why: How the stack was solved, in words.
    """

    sample: Sample
    profile: DepthProfile
    images: Tensor
    image_s: float
    solve_s: float
    why: str


def draw_both(source: ImageSource, splits: Mapping[Split, IntArray], *, num_images: int, seed: int) -> Sample:
    """Up to `num_images` training images, and up to a quarter as many validation images."""
    sizes = {"train": num_images, "val": num_images // _TRAIN_PER_VAL}
    train, held_out = (
        draw_sample(source.labels, source.groups, splits[split], num_images=sizes[split], seed=seed)
        for split in _SAMPLED
    )
    return Sample(source, train, held_out)


def draw_sample(labels: IntArray, groups: IntArray, pool: IntArray, *, num_images: int, seed: int) -> IntArray:
    """Up to `num_images` of `pool`, one of each group, stratified by class; ascending."""
    leaders = np.sort(group_leaders(pool, groups))
    if len(leaders) <= num_images:
        return leaders
    return leaders[stratified_subset(labels[leaders], num_images, seed=seed)]


def look(
    sample: Sample,
    backbone: Backbone,
    compute: Compute,
    *,
    cache: FeatureCache,
    num_workers: int = 0,
    new_images: int = 0,
) -> Look:
    """Pass the sample through the frozen backbone for the features, and a part of it once more for the distance.

    `new_images` are those of the test split, for whose accuracy an interval is given.
    """
    backbone.to(compute.device).eval()
    splits = [
        SplitDataset(sample.source, indices, transform=eval_transform(backbone.input), seed=0, random_views=False)
        for indices in (sample.train, sample.held_out)
    ]
    readout = Readout.of(backbone, stages=range(backbone.num_stages), grids=with_class_token(backbone, GRIDS))
    start = time.perf_counter()
    pace = Pace()
    features = pooled_features(
        splits, backbone, readout, compute, cache=cache, num_workers=num_workers, smaller=SMALLER, pace=pace
    )
    image_s = pace.image_s or (time.perf_counter() - start) / sum(map(len, splits))
    start = time.perf_counter()
    stack, expected, why = solve_both(*_rows(sample, features, readout))
    solve_s = time.perf_counter() - start
    some = evenly_spread(len(splits[0]), MAX_DISTANCE_IMAGES)
    batches = [batch.to(compute.device) for batch in _batches(splits[0], some)]
    distances = source_distances(backbone, batches, dtype=compute.precision.prefix) if backbone.pretrained else None
    profile = depth_profile(
        stack,
        readout.taps,
        stage_names=tuple(stage.name for stage in backbone.stages),
        distances=distances,
        expected=expected.on(new_images),
        majority=float(np.bincount(sample.source.labels[sample.train]).max() / len(sample.train)),
    )
    return Look(sample, profile, batches[0], image_s, solve_s, why)


def _rows(sample: Sample, features: Sequence[Tensor], readout: Readout) -> list[StackRows]:
    source, rows = sample.source, []
    for indices, of_split in zip((sample.train, sample.held_out), features, strict=True):
        labels, (groups, weights) = torch.from_numpy(source.labels[indices]), groups_and_weights(source, indices)
        targets = Targets(labels, len(source.class_names), groups, given=weights)
        rows.append(StackRows(readout, of_split, targets))
    return rows


def _batches(images: SplitDataset, positions: IntArray) -> list[Tensor]:
    keys = [(0, int(position)) for position in positions]
    loader: DataLoader[tuple[Tensor, int]] = DataLoader(images, batch_size=_BATCH, sampler=keys)
    return [batch for batch, _ in ahead(loader)]

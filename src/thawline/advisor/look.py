"""One pass over a sample of the target images: pooled features at every stage, probes, distance."""

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.advisor.distance import Distances, batchnorm_reference, domain_distances, photo_reference
from thawline.advisor.moments import NUM_NOISE_IMAGES, batchnorm_moments, noise_images, stage_moments
from thawline.advisor.pilot import PILOT
from thawline.advisor.profile import DepthProfile, depth_profile, pooled_taps
from thawline.data.dataset import SplitDataset
from thawline.data.photographs import photographs
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.data.sources.subset import stratified_subset
from thawline.data.splits import group_leaders
from thawline.data.transforms import eval_transform
from thawline.errors import UserError
from thawline.features.extract import Tap, choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, Wanted, ahead, fill
from thawline.machine.compute import Compute
from thawline.models.backbone import Backbone
from thawline.models.fused import fuse_where_faster

_log = logging.getLogger(__name__)
# Chosen: with 256 images the distance's spread over resamples is 0.01 to 0.05 wide (docs/distance.md).
MAX_DISTANCE_IMAGES = 256
_BATCH = 32
_TRAIN_PER_VAL = 4  # training images per validation image in the sample; chosen: about as in the default splits
_SAMPLED: tuple[Split, Split] = ("train", "val")


@dataclass(frozen=True)
class Sample:
    """Images for the advice.

    Attributes:
        train, held_out: Indices of training and of validation images in the source, (N,) and (V,), int64. Folds and
            distance use the training images only.
    """

    source: ImageSource
    train: IntArray
    held_out: IntArray

    @property
    def labels(self) -> IntArray:
        """Class indices of the training and the validation images, (N + V,)."""
        labels: IntArray = self.source.labels[np.concatenate([self.train, self.held_out])]
        return labels

    @property
    def groups(self) -> IntArray:
        """Groups of the training images, (N,)."""
        return self.source.groups[self.train]


@dataclass(frozen=True)
class Look:
    """Results of the pass.

    Attributes:
        profile: Distance and probes.
        rows: Activations at the cut of the pilot, (N + V, *row); None if the backbone has too few stages.
        images: A batch of the sample, uint8, (B, 3, S, S), on the device.
        image_s: Seconds per image from the source through the backbone; about 0 if the features came from the cache.
    """

    sample: Sample
    profile: DepthProfile
    rows: Tensor | None
    images: Tensor
    image_s: float


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


def look(sample: Sample, backbone: Backbone, compute: Compute, *, cache: FeatureCache, num_workers: int = 0) -> Look:
    """Pass the sample through the frozen backbone for the features, and a part of it once more for the distance."""
    backbone.to(compute.device).eval()
    train, held_out = (
        SplitDataset(sample.source, indices, transform=eval_transform(backbone.input), seed=0, random_views=False)
        for indices in (sample.train, sample.held_out)
    )
    start = time.perf_counter()
    features = _features([train, held_out], backbone, compute, cache=cache, num_workers=num_workers)
    image_s = (time.perf_counter() - start) / (len(train) + len(held_out))
    spread = np.linspace(0, len(train) - 1, min(len(train), MAX_DISTANCE_IMAGES))
    batches = [batch.to(compute.device) for batch in _batches(train, np.unique(spread.astype(np.int64)))]
    distances = source_distances(backbone, batches, dtype=compute.precision.prefix) if backbone.pretrained else None
    names = tuple(stage.name for stage in backbone.stages)
    profile = depth_profile(features, sample.labels, sample.groups, stage_names=names, distances=distances)
    return Look(sample, profile, features.get(_pilot_tap(backbone)), batches[0], image_s)


def _features(
    splits: Sequence[SplitDataset], backbone: Backbone, compute: Compute, *, cache: FeatureCache, num_workers: int
) -> dict[Tap, Tensor]:
    taps = pooled_taps(backbone.num_stages)
    if PILOT.fits(backbone.num_stages):
        taps.append(_pilot_tap(backbone))
    dtype, device = compute.precision.prefix, compute.device
    fused = fuse_where_faster(backbone, backbone.num_stages, dtype=dtype, device=device)
    mode = choose_mode(sum(map(len, splits)), dtype=dtype, fused=fused is not None, batch_size=_BATCH)
    requests = [Wanted(images, 1, random_views=False) for images in splits]

    def filled(store: FeatureCache) -> dict[Tap, Tensor]:
        stores = fill(requests, backbone, taps, Extraction(store, mode, device, fused, num_workers))
        per_tap = zip(taps, zip(*stores, strict=True), strict=True)
        return {tap: torch.cat([array.rows(range(len(array))) for array in arrays]) for tap, arrays in per_tap}

    try:
        return filled(cache)
    except OSError as error:
        _log.warning("Cache: not used, %s.", error)
    with tempfile.TemporaryDirectory() as folder:
        return filled(FeatureCache(Path(folder), max_bytes=2**62))


def _pilot_tap(backbone: Backbone) -> Tap:
    return Tap(PILOT.num_frozen(backbone.num_stages))


def _batches(images: SplitDataset, positions: IntArray) -> list[Tensor]:
    keys = [(0, int(position)) for position in positions]
    loader: DataLoader[tuple[Tensor, int]] = DataLoader(images, batch_size=_BATCH, sampler=keys)
    return [batch for batch, _ in ahead(loader)]


def source_distances(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> Distances | None:
    """Distances by the backbone's BatchNorm, or by photographs if it has none; None if these are not installed either.

    Args:
        backbone: In eval mode, on the device of `batches`.
        batches: Target images, uint8, (B, 3, S, S) each.
    """
    device = batches[0].device
    noise = [noise_images(NUM_NOISE_IMAGES, backbone.input.size).to(device)]
    moments, reference = batchnorm_moments, batchnorm_reference(backbone)
    if not reference:
        try:
            transform = eval_transform(backbone.input)
            source = torch.stack([transform(photo) for photo in photographs()]).to(device)
        except UserError as error:
            _log.warning("Note: this backbone has no BatchNorm, and is compared with photographs instead: %s.", error)
            return None
        photos = stage_moments(backbone, torch.split(source, _BATCH), dtype=dtype)
        moments, reference = stage_moments, photo_reference(backbone, photos)
    target, of_noise = (moments(backbone, images, dtype=dtype) for images in (batches, noise))
    return domain_distances(target, of_noise, reference, num_stages=backbone.num_stages)

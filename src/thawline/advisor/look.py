"""The one pass over the target images: a sample of them, its pooled features at every stage, its distance."""

import logging
import tempfile
import time
from collections.abc import Sequence
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
from thawline.data.sources.source import ImageSource, IntArray
from thawline.data.sources.subset import stratified_subset
from thawline.data.splits import group_leaders
from thawline.data.transforms import eval_transform
from thawline.errors import UserError
from thawline.features.cache import FeatureCache
from thawline.features.extract import Tap, choose_mode
from thawline.features.fill import Wanted, ahead, fill
from thawline.models.backbone import Backbone
from thawline.models.fused import fuse_where_faster

_log = logging.getLogger(__name__)
# Chosen: with 256 images the distance's spread over resamples is 0.01 to 0.05 wide (docs/distance.md).
MAX_DISTANCE_IMAGES = 256
_BATCH = 32


@dataclass(frozen=True)
class Look:
    """What was seen, and how long it took.

    Attributes:
        sample, held_out: Indices of training and of validation images in the source, (N,) and (V,).
        profile: Distance and probes.
        rows: Activations where the pilot begins, (N + V, *row); None where the backbone has too few stages.
        images: A batch of the sample, uint8, (B, 3, S, S), on the device.
        image_s: Seconds that one image took on its way from the source through the backbone; 0 where it came from the
            cache.
    """

    sample: IntArray
    held_out: IntArray
    profile: DepthProfile
    rows: Tensor | None
    images: Tensor
    image_s: float


def draw_sample(labels: IntArray, groups: IntArray, pool: IntArray, *, num_images: int, seed: int) -> IntArray:
    """Up to `num_images` of `pool`, one of each group, stratified by class; ascending."""
    leaders = np.sort(group_leaders(pool, groups))
    if len(leaders) <= num_images:
        return leaders
    return leaders[stratified_subset(labels[leaders], num_images, seed=seed)]


def look(
    source: ImageSource,
    sample: IntArray,
    held_out: IntArray,
    backbone: Backbone,
    *,
    dtype: torch.dtype,
    device: torch.device,
    cache: FeatureCache,
    has_source: bool,
    num_workers: int = 0,
) -> Look:
    """Pass images through the frozen backbone, once for the features and, a part of them, once for the distance.

    Args:
        sample: Indices of training images in `source`: the folds, and what the distance is measured on.
        held_out: Indices of validation images.
        dtype: In which the backbone computes.
        has_source: Whether its weights were learned, so that there is a source to be distant from.
    """
    backbone.to(device).eval()
    both = np.concatenate([sample, held_out])
    images, others = (
        SplitDataset(source, part, transform=eval_transform(backbone.input), seed=0, random_views=False)
        for part in (sample, held_out)
    )
    start = time.perf_counter()
    features = _features([images, others], backbone, dtype=dtype, device=device, cache=cache, num_workers=num_workers)
    image_s = (time.perf_counter() - start) / len(both)
    part = np.unique(np.linspace(0, len(sample) - 1, min(len(sample), MAX_DISTANCE_IMAGES)).astype(np.int64))
    batches = [batch.to(device) for batch in _batches(images, part)]
    distances = source_distances(backbone, batches, dtype=dtype) if has_source else None
    profile = depth_profile(
        features,
        source.labels[both],
        source.groups[sample],
        stage_names=tuple(stage.name for stage in backbone.stages),
        distances=distances,
    )
    return Look(sample, held_out, profile, features.get(_pilot_tap(backbone)), batches[0], image_s)


def _features(
    splits: Sequence[SplitDataset],
    backbone: Backbone,
    *,
    dtype: torch.dtype,
    device: torch.device,
    cache: FeatureCache,
    num_workers: int,
) -> dict[Tap, Tensor]:
    taps = pooled_taps(backbone.num_stages)
    if PILOT.fits(backbone.num_stages):
        taps.append(_pilot_tap(backbone))
    fused = fuse_where_faster(backbone, backbone.num_stages, dtype=dtype, device=device)
    mode = choose_mode(sum(map(len, splits)), dtype=dtype, fused=fused is not None, batch_size=_BATCH)
    wanted = [Wanted(images, 1, random_views=False) for images in splits]

    def filled(where: FeatureCache) -> dict[Tap, Tensor]:
        stores = fill(
            wanted, backbone, cache=where, taps=taps, mode=mode, device=device, fused=fused, num_workers=num_workers
        )
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
    """By the backbone's own BatchNorm; where it has none, by photographs; None where there are none of these either.

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

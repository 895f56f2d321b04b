"""Pooled features of images at the taps of a readout, from the cache or from one pass."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from thawline.data.dataset import SplitDataset
from thawline.features.extract import choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.pace import Pace
from thawline.features.readout import Readout
from thawline.features.wanted import Wanted
from thawline.machine.compute import Compute
from thawline.machine.decisions import compiles_pass, pass_batch
from thawline.machine.device_memory import lack_of_memory_explained
from thawline.models.backbone import Backbone
from thawline.models.fused import fuse_where_faster

_log = logging.getLogger(__name__)
_BATCH = 32  # where numbers depend on the size of a batch


def pooled_features(
    splits: Sequence[SplitDataset],
    backbone: Backbone,
    readout: Readout,
    compute: Compute,
    *,
    cache: FeatureCache,
    num_workers: int,
    smaller: str,
    pace: Pace | None = None,
) -> list[Tensor]:
    """Of every split, (N, D) as `readout` lays them out. Where the cache cannot be written, a folder that goes away.

    Args:
        smaller: What to do where the device's memory does not hold a batch.
        pace: Learns how fast the images were computed; nothing where they came from the cache.
    """
    dtype, device = compute.precision.prefix, compute.device
    fused = fuse_where_faster(backbone, backbone.num_stages, dtype=dtype, device=device)
    compiled = compiles_pass("auto", device.type, num_images=sum(map(len, splits)))
    together = pass_batch(device.type)
    mode = choose_mode(dtype=dtype, fused=fused is not None, compiled=compiled, batch_size=_BATCH, together=together)
    requests = [Wanted(images, 1, random_views=False) for images in splits]
    pace = pace or Pace()
    what = f"{backbone.name} at {backbone.input.size} pixels in batches of {mode.batch_size}"

    def filled(store: FeatureCache) -> list[Tensor]:
        with lack_of_memory_explained(what, device, next_step=smaller):
            how = Extraction(store, mode, device, fused, num_workers, pace=pace)
            stores = fill(requests, backbone, list(readout.taps), how)
        return [torch.cat([array.rows(range(len(array))) for array in arrays], 1) for arrays in stores]

    try:
        return filled(cache)
    except OSError as error:
        _log.warning("Cache: not used, %s.", error)
    with tempfile.TemporaryDirectory() as folder:
        return filled(FeatureCache(Path(folder), max_bytes=2**62))

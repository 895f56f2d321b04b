"""Decide whether a run trains on stored activations, say why, and make them."""

import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from thawline.data.sources.source import Split
from thawline.data.transforms import is_random
from thawline.errors import UserError
from thawline.features.cache import FeatureCache
from thawline.features.decide import Decision, Need, decide
from thawline.features.extract import choose_mode
from thawline.features.fill import Wanted, fill
from thawline.lbfgs import NEEDS_STORED
from thawline.parts import Parts
from thawline.settings import CacheSettings

_log = logging.getLogger(__name__)
_DEPTH = "strategy.unfreeze_depth"
_SPLITS: tuple[Split, Split] = ("train", "val")


@dataclass
class CacheRecord:
    """What run.json says of the cache."""

    used: bool
    reason: str
    cut: int = 0
    views: int = 0
    bytes: int = 0
    seconds: float = 0.0


def cache_frozen_stages(parts: Parts, settings: CacheSettings, *, device: torch.device, processes: int) -> CacheRecord:
    """Give the run stored activations in place of images where that saves time.

    A cache that cannot be written is a warning; the run then trains from the images.

    Raises:
        UserError: The run cannot do without the cache, and it cannot be.
    """
    need = _need(parts, processes=processes)
    decision = decide(need, settings)
    if need.required and not decision.caching:
        raise UserError(f"{NEEDS_STORED} {decision.reason}; raise cache.max_gb, or use optim=adamw")
    record = CacheRecord(decision.caching, decision.reason)
    if decision.caching:
        start = time.perf_counter()
        _log.info("Cache: %s", _told(parts, need, decision))
        try:
            record.bytes = _fill(parts, settings, need, decision.views, device)
        except OSError as error:
            if need.required:
                raise UserError(f"{NEEDS_STORED} they cannot be written ({error}); choose another cache.dir") from error
            _log.warning("Cache: not used, %s. Training goes on from the images.", error)
            return CacheRecord(False, f"not written: {error}")
        record.cut, record.views, record.seconds = need.cut, decision.views, time.perf_counter() - start
    else:
        _log.info("Cache: not used, %s.", decision.reason)
    return record


def _need(parts: Parts, *, processes: int) -> Need:
    bound, data, regularize = parts.bound, parts.data, parts.model.regularize
    cut = min(bound.ever_training(), default=bound.plan.num_stages)
    low = parts.precision.prefix != torch.float32
    row = bound.backbone.stages[cut - 1].out_shape if cut else ()
    return Need(
        cut=cut,
        row_bytes=int(torch.Size(row).numel()) * (2 if low else 4),
        num_train=len(data.splits["train"]),
        num_val=len(data.splits["val"]),
        seen=parts.steps.total * data.batch_size,
        epochs=parts.steps.epochs,
        random_views=is_random(data.loader.augment),
        mixing=regularize.mixup > 0 or regularize.cutmix > 0,
        processes=processes,
        required=parts.model.optim.name == "lbfgs",
    )


def _told(parts: Parts, need: Need, decision: Decision) -> str:
    stages = parts.bound.plan.num_stages
    views = "" if not need.random_views else f", {decision.views} random views of each image"
    where = "all stages are" if need.cut == stages else f"the first {need.cut} of {stages} stages are"
    return f"{where} computed once{views}, {decision.num_bytes / 1e6:,.0f} MB; {decision.reason}."


def _fill(parts: Parts, settings: CacheSettings, need: Need, views: int, device: torch.device) -> int:
    cut, backbone, data = need.cut, parts.bound.backbone, parts.data
    cache = FeatureCache(Path(settings.dir).expanduser(), max_bytes=int(settings.max_gb * 1e9))
    wanted = [
        Wanted(data.dataset("train", again=views > 1), views, random_views=need.random_views),
        Wanted(data.dataset("val"), 1, random_views=False),
    ]
    mode = choose_mode(sum(split.num_rows for split in wanted), dtype=parts.precision.prefix)
    training = backbone.training
    backbone.to(device).eval()
    try:
        cuts = sorted({cut, *_swept_cuts(backbone.num_stages)})
        arrays = fill(wanted, backbone, cache=cache, cuts=cuts, mode=mode, device=device, num_workers=data.num_workers)
    finally:
        backbone.train(training)
    mine = [per_cut[cuts.index(cut)] for per_cut in arrays]
    data.use_stored(dict(zip(_SPLITS, mine, strict=True)))
    parts.model.entry = cut
    return sum(array.num_bytes for array in mine)


def _swept_cuts(num_stages: int) -> set[int]:
    """Cuts of the other jobs of a sweep over the depth: one pass then serves them all."""
    depths: list[Any] = []
    for argument in sys.argv[1:]:
        if argument.startswith(f"{_DEPTH}="):
            try:
                override = OverridesParser.create().parse_override(argument)
            except HydraException:
                continue
            depths = list(override.sweep_iterator()) if override.is_sweep_override() else []
    return {num_stages - int(depth) for depth in depths if str(depth).isdigit() and int(depth) < num_stages}

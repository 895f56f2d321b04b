"""Decide whether a run trains on stored activations, say why, and make them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from thawline.data.sources.source import Split
from thawline.errors import UserError
from thawline.features.decide import Decision, Need, decide
from thawline.features.extract import Tap, choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Wanted, fill
from thawline.models.backbone import Backbone
from thawline.models.fused import FusedPrefix, fuse
from thawline.runs.parts import Parts
from thawline.settings.cache_settings import CacheSettings
from thawline.settings.lbfgs_conflicts import NEEDS_STORED

_log = logging.getLogger(__name__)
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


def cache_frozen_stages(
    parts: Parts, settings: CacheSettings, *, device: torch.device, processes: int, depths: Sequence[int | str] = ()
) -> CacheRecord:
    """Give the run stored activations in place of images where that saves time.

    A cache that cannot be written is a warning; the run then trains from the images.

    Args:
        depths: Of the sweep that the run belongs to: one pass stores what all its jobs need.
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
            record.bytes = _fill(parts, settings, need, decision.views, device, depths)
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
    return Need(
        cut=cut,
        row_bytes=sum(_row_bytes(parts, tap) for tap in _own_taps(parts, cut)),
        num_train=len(data.splits["train"]),
        num_val=len(data.splits["val"]),
        seen=parts.steps.total * data.batch_size,
        epochs=parts.steps.epochs,
        random_views=data.loader.augment.is_random,
        mixing=regularize.mixup > 0 or regularize.cutmix > 0,
        processes=processes,
        required=parts.model.optim.name == "lbfgs",
    )


def _told(parts: Parts, need: Need, decision: Decision) -> str:
    stages = parts.bound.plan.num_stages
    views = "" if not need.random_views else f", {decision.views} random views of each image"
    where = "all stages are" if need.cut == stages else f"the first {need.cut} of {stages} stages are"
    return f"{where} computed once{views}, {decision.num_bytes / 1e6:,.0f} MB; {decision.reason}."


def _fill(
    parts: Parts, settings: CacheSettings, need: Need, views: int, device: torch.device, depths: Sequence[int | str]
) -> int:
    backbone, data, fused = parts.bound.backbone, parts.data, parts.model.fused
    cache = FeatureCache.of(settings)
    wanted = [
        Wanted(data.dataset("train", again=views > 1), views, random_views=need.random_views),
        Wanted(data.dataset("val"), 1, random_views=False),
    ]
    num_rows, dtype = sum(split.num_rows for split in wanted), parts.precision.prefix
    batch_size = min(data.batch_size, data.loader.batch_size)  # all images come as one batch to the solver
    mode = choose_mode(num_rows, dtype=dtype, fused=fused is not None, batch_size=batch_size)
    own = _own_taps(parts, need.cut)
    taps = own if parts.model.readout else _with_swept(parts, own[0], depths, room=cache.max_bytes / num_rows)
    taps, fused = _reachable(backbone, taps, fused)
    training = backbone.training
    backbone.to(device).eval()
    try:
        arrays = fill(
            wanted,
            backbone,
            cache=cache,
            taps=taps,
            mode=mode,
            device=device,
            fused=fused,
            num_workers=data.num_workers,
        )
    finally:
        backbone.train(training)
    mine = [[per_tap[taps.index(tap)] for tap in own] for per_tap in arrays]
    data.use_stored(dict(zip(_SPLITS, mine, strict=True)))
    parts.model.entry = need.cut
    return sum(array.num_bytes for of_split in mine for array in of_split)


def _reachable(backbone: Backbone, taps: list[Tap], fused: FusedPrefix | None) -> tuple[list[Tap], FusedPrefix | None]:
    """The taps with a fused prefix up to the last: those of the sweep's other jobs may lie beyond the run's own prefix.

    Where the longer prefix has no fused form, they are left to the jobs themselves.
    """
    last = max(tap.cut for tap in taps)
    if fused is None or fused.cut >= last:
        return taps, fused
    if longer := fuse(backbone, last):
        return taps, longer
    return [tap for tap in taps if tap.cut <= fused.cut], fused


def _own_taps(parts: Parts, cut: int) -> list[Tap]:
    """What this run trains on."""
    if parts.model.readout is not None:
        return parts.model.readout.taps
    return [Tap(cut)] if cut else []


def _with_swept(parts: Parts, own: Tap, depths: Sequence[int | str], *, room: float) -> list[Tap]:
    """`own`, and those of the sweep's other jobs as far as there is room: one pass serves them all.

    Args:
        room: Bytes for each image.
    """
    chosen, used = [own], _row_bytes(parts, own)
    others = [Tap(cut) for cut in _swept_cuts(depths, parts.bound.plan.num_stages) - {own.cut}]
    for tap in sorted(others, key=lambda tap: _row_bytes(parts, tap)):
        if used + _row_bytes(parts, tap) <= room:
            chosen.append(tap)
            used += _row_bytes(parts, tap)
    return sorted(chosen, key=lambda tap: tap.cut)


def _row_bytes(parts: Parts, tap: Tap) -> int:
    """Bytes of what is stored of one image at `tap`."""
    backbone = parts.bound.backbone
    if tap.grid is not None:
        return backbone.pooled_width(tap.cut, grid=tap.grid) * 4
    row = backbone.stages[tap.cut - 1].out_shape
    return int(torch.Size(row).numel()) * (4 if parts.precision.prefix == torch.float32 else 2)


def _swept_cuts(depths: Sequence[int | str], num_stages: int) -> set[int]:
    """Where the jobs of a sweep over the depth need activations."""
    return {num_stages - int(depth) for depth in depths if str(depth).isdigit() and int(depth) < num_stages}

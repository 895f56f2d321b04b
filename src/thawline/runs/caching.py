"""Decide whether a run trains on stored activations, say why, and make them."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from thawline.errors import UserError, first_line
from thawline.features.decide import Decision, Need, decide
from thawline.features.extract import Tap, choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, fill
from thawline.features.stored_dataset import STORED, StoredSplits
from thawline.features.wanted import Wanted
from thawline.machine.decisions import compiles_pass, pass_batch
from thawline.machine.signs_of_life import CANNOT_WRITE, Meeting
from thawline.machine.thread_trial import threads_restored
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse
from thawline.models.stacked_head import StackedHead
from thawline.report.record_sections import CacheSection
from thawline.runs.meeting import meet_for_pass
from thawline.runs.parts import Parts
from thawline.runs.pass_threads import set_pass_threads
from thawline.runs.sums_pass import of_the_kept, sum_stages
from thawline.settings.solver_conflicts import needs_stored
from thawline.settings.trainer_settings import TrainerSettings

MOST_KNOWN = 1000  # images of a split that say where known images lie; chosen: eight for each dimension that is kept
_log = logging.getLogger(__name__)


def store_frozen_stages(parts: Parts) -> tuple[StoredSplits | None, CacheSection]:
    """What the frozen stages compute of the run's images, where that saves time; and what run.json says of it.

    Several processes share the pass. A cache that cannot be written is a warning; the run then trains from the images.

    Raises:
        UserError: The run cannot do without the cache, and it cannot be.
    """
    need = _need(parts)
    few = of_the_kept(need, parts.settings.cache) if isinstance(parts.model.head, StackedHead) else None
    decision = decide(few or need, parts.settings.cache)
    if need.required and not decision.caching:
        line = needs_stored(parts.settings.optim)
        raise UserError(f"{line} {decision.reason}; raise cache.max_gb, or use optim=adamw")
    if not decision.caching:
        _log.info("Cache: not used, %s.", decision.reason)
        return None, CacheSection(False, decision.reason)
    if few is not None:
        decision = replace(decision, reason=_why_sums(need, few))
    start = time.perf_counter()
    _log.info("Cache: %s", _sentence(parts, need, decision))
    try:
        with shared_pass("frozen", parts.settings.trainer) as team:
            stored = _store(parts, need, decision.views, few=few, team=team)
    except OSError as error:
        if need.required:
            raise UserError(
                f"{needs_stored(parts.settings.optim)} they cannot be written ({error}); choose another cache.dir"
            ) from error
        _log.warning("Cache: not used, %s. Training goes on from the images.", error)
        return None, CacheSection(False, f"not written: {error}")
    seconds = time.perf_counter() - start
    return stored, CacheSection(True, decision.reason, need.cut, decision.views, stored.num_bytes, seconds)


def _need(parts: Parts) -> Need:
    data, settings = parts.data, parts.settings
    return Need(
        cut=parts.bound.first_training,
        row_bytes=sum(_row_bytes(parts, tap) for tap in _run_taps(parts)),
        num_train=len(data.splits["train"]),
        num_val=len(data.splits["val"]),
        seen=parts.steps.total * data.batch_size * data.world_size,
        random_views=settings.loader.augment.is_random,
        mixing=settings.regularize.mixup > 0 or settings.regularize.cutmix > 0,
        required=settings.optim.solves,
    )


def _sentence(parts: Parts, need: Need, decision: Decision) -> str:
    stages = parts.bound.plan.num_stages
    views = "" if not need.random_views else f", {decision.views} random views of each image"
    where = "all stages are" if need.cut == stages else f"the first {need.cut} of {stages} stages are"
    return f"{where} computed once{views}, {decision.num_bytes / 1e6:,.0f} MB; {decision.reason}."


def _why_sums(need: Need, few: Need) -> str:
    every, kept = need.num_train + need.num_val, few.num_train + few.num_val
    return f"sums are kept of all {every:,} images, and the features of {kept:,}"


@contextlib.contextmanager
def shared_pass(name: str, trainer: TrainerSettings) -> Iterator[Meeting | None]:
    """The processes that share the pass; where one fails, the others learn why, and end with the same error.

    Args:
        name: Of the pass; no other of this command has it.
    """
    if trainer.num_processes == 1:
        yield None
        return
    team = meet_for_pass(name, devices=trainer.devices)
    try:
        yield team
        team.wait_for_all()  # from here on all read what is stored, or none does
    except OSError as error:
        team.leave(first_line(error), kind=CANNOT_WRITE)
        raise
    except BaseException as error:
        team.leave(first_line(error))
        raise


def _store(parts: Parts, need: Need, views: int, *, few: Need | None, team: Meeting | None) -> StoredSplits:
    backbone, data = parts.bound.backbone, parts.data
    wanted = [
        Wanted(data.dataset("train", again=views > 1), views, random_views=need.random_views),
        Wanted(data.dataset("val"), 1, random_views=False),
    ]
    num_rows = sum(split.num_rows for split in wanted)
    run_taps = _run_taps(parts)
    how = replace(extraction(parts, parts.model.prefix, num_rows), team=team)
    room = how.cache.max_bytes / num_rows
    taps = run_taps if parts.model.readout else _with_swept(parts, run_taps[0], room=room)
    if parts.beside is not None and not need.random_views:  # one pass serves the stack too
        taps = [*taps, *parts.beside.readout.taps]
    room -= sum(_row_bytes(parts, tap) for tap in taps)
    taps += known_taps(parts, before=max(tap.cut for tap in taps), room=room)
    taps, how = _reachable(parts, taps, how)
    training = backbone.training
    backbone.to(how.device).eval()
    try:
        with threads_restored():  # the training measures for itself
            if team is None:  # else Lightning has shared out the cores
                set_pass_threads(backbone, wanted, taps, how, parts.settings.threads)
            if few is not None:
                return sum_stages(parts, dict(zip(STORED, wanted, strict=True)), how, few)
            arrays = fill(wanted, backbone, taps, how)
    finally:
        backbone.train(training)
    of_run = [[per_tap[taps.index(tap)] for tap in run_taps] for per_tap in arrays]
    return StoredSplits(need.cut, dict(zip(STORED, of_run, strict=True)))


def extraction(parts: Parts, prefix: FrozenPrefix, num_rows: int) -> Extraction:
    """How `prefix` makes so many rows."""
    data, compute = parts.data, parts.compute
    batch_size = min(data.loader.batch_size, len(data.splits["train"]))  # whatever the number of processes
    compiled = compiles_pass(parts.settings.compile, compute.device.type, num_images=num_rows)
    fused = prefix.fused is not None
    together = pass_batch(compute.device.type)
    mode = choose_mode(dtype=prefix.dtype, fused=fused, compiled=compiled, batch_size=batch_size, together=together)
    return Extraction(FeatureCache.of(parts.settings.cache), mode, compute.device, prefix.fused, data.num_workers)


def _reachable(parts: Parts, taps: list[Tap], how: Extraction) -> tuple[list[Tap], Extraction]:
    """The taps with a fused prefix up to the last: those of the sweep's other jobs may lie beyond the run's own prefix.

    Where the longer prefix has no fused form, they are left to the jobs themselves.
    """
    last = max(tap.cut for tap in taps)
    if how.fused is None or how.fused.cut >= last:
        return taps, how
    if longer := fuse(parts.bound.backbone, last):
        return taps, replace(how, fused=longer)
    return [tap for tap in taps if tap.cut <= how.fused.cut], how


def _run_taps(parts: Parts) -> list[Tap]:
    """What this run trains on."""
    if parts.model.readout is not None:
        return list(parts.model.readout.taps)
    return [Tap(parts.bound.first_training)] if parts.bound.first_training else []


def known_taps(parts: Parts, *, before: int, room: float = math.inf) -> list[Tap]:
    """Pooled output at `known_cuts`, which the pass over few images stores too.

    Args:
        room: Bytes for each image.
    """
    data = parts.data
    few = all(len(data.splits[split]) <= MOST_KNOWN for split in STORED)
    other = parts.model.readout is not None or parts.beside is not None  # what these read is stored anyway
    if other or not few or parts.settings.loader.augment.is_random:
        return []
    taps = [Tap(cut, 1) for cut in known_cuts(parts, before=before)]
    return taps if sum(_row_bytes(parts, tap) for tap in taps) <= room else []


def known_cuts(parts: Parts, *, before: int) -> range:
    """Cuts in the second half, below `before`, whose features may tell unknown images apart.

    Of nine stages the fifth and the sixth told them apart best (docs/model.md).
    """
    return range(math.ceil(parts.bound.plan.num_stages / 2), before)


def _with_swept(parts: Parts, first: Tap, *, room: float) -> list[Tap]:
    """`first`, and those of the sweep's other jobs as far as there is room: one pass serves them all.

    Args:
        room: Bytes for each image.
    """
    taps, used = [first], _row_bytes(parts, first)
    cuts = _swept_cuts(parts.settings.sweep.depths, parts.bound.plan.num_stages)
    others = [Tap(cut) for cut in cuts - {first.cut}]
    for tap in sorted(others, key=lambda tap: _row_bytes(parts, tap)):
        if used + _row_bytes(parts, tap) <= room:
            taps.append(tap)
            used += _row_bytes(parts, tap)
    return sorted(taps, key=lambda tap: tap.cut)


def _row_bytes(parts: Parts, tap: Tap) -> int:
    """Bytes of what is stored of one image at `tap`."""
    backbone = parts.bound.backbone
    if tap.grid is not None:
        return backbone.pooled_width(tap.cut, grid=tap.grid) * 4
    row = backbone.stages[tap.cut - 1].out_shape
    return int(torch.Size(row).numel()) * parts.compute.precision.prefix.itemsize


def _swept_cuts(depths: Sequence[int | str], num_stages: int) -> set[int]:
    """Where the jobs of a sweep over the depth need activations."""
    return {num_stages - int(depth) for depth in depths if str(depth).isdigit() and int(depth) < num_stages}

"""One run from settings to record."""

import functools
import json
import logging
from pathlib import Path

from thawline.atomic import write_atomically
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.same_everywhere import refuse_disagreement
from thawline.data.split_table import SPLITS_FILE, encoded, split_table
from thawline.machine.compute import Compute
from thawline.machine.device_memory import lack_of_memory_explained
from thawline.machine.energy import EnergyMeter, counters_of
from thawline.machine.processes import is_main
from thawline.machine.signs_of_life import Meeting
from thawline.report.record_sections import StrategySection
from thawline.report.run_record import RunRecord
from thawline.runs.announce import announce
from thawline.runs.build import build
from thawline.runs.caching import store_frozen_stages
from thawline.runs.composed import RunConfig
from thawline.runs.compute_of_run import compute_notes, one_thread_note, ready_compute
from thawline.runs.context import RunContext
from thawline.runs.describe import describe
from thawline.runs.fit import fit_and_test
from thawline.runs.meeting import meeting
from thawline.runs.parts import Parts
from thawline.runs.ranks import refuse_other_processes
from thawline.runs.resume import CONFIG_NAME, Boundary
from thawline.runs.shared import Shared
from thawline.runs.stack_features import refuse_too_many
from thawline.runs.tracked import RunLogs
from thawline.runs.watchers import Said
from thawline.settings.run_settings import Settings

_log = logging.getLogger(__name__)
# Of the config's leaves, those in which runs of one group may differ: they change no result, or are the seed.
_NOT_COMPARED = (
    "seed",
    "data.num_workers",
    "advise.max_images",
    "budget.minutes",
    "budget.memory_gb",
    "budget.latency_ms",
    "budget.size_mb",
    "model.candidates",
    "model.candidate_sizes",
    "cost.per_hour",
    "threads",
    "logger",
    "projector",
)


def run_once(
    config: RunConfig,
    context: RunContext,
    record: RunRecord,
    logs: RunLogs,
    *,
    start: float,
    boundary: Boundary | None,
    shared: Shared | None = None,
) -> None:
    """Build, store what frozen stages compute, train, test; `record` learns what happens.

    Args:
        start: When the run began, by `time.perf_counter`.
        boundary: Where a resumed run goes on.
        logs: Opened when the training begins.
        shared: With the images and backbones of the runs before.
    """
    settings, folder = config.settings, context.folder
    record.settings = {key: value for key, value in config.leaves.items() if key not in _NOT_COMPARED}
    record.strategy = StrategySection(settings.strategy.name, settings.strategy.unfreeze_depth)
    if boundary is None and is_main():
        write_atomically(folder / CONFIG_NAME, config.text)
    refuse_other_processes(settings.trainer, context)
    compute = ready_compute(settings, boundary)
    cost = _cost_since(start, settings, compute)
    parts = build(settings, compute, step=boundary.step if boundary else 0, shared=shared)
    refuse_too_many(parts)
    _describe_parts(record, parts, folder, boundary)
    announce(parts, record, context, resuming=boundary is not None)
    store, several = functools.partial(_store, parts, record), settings.trainer.num_processes > 1
    held = _held(record, parts)
    said = Said(folder, context.resumed_as, config.text, held, not context.rung, store if several else None)
    what = f"{parts.bound.backbone.name} at {record.model.image_size} pixels, data.batch_size={parts.data.batch_size},"
    with lack_of_memory_explained(what, compute.device, next_step="try a smaller data.batch_size or model.image_size"):
        if not several:
            store()
        elif (others := meeting()) is not None:
            _wait_for_others(others, held)
        fit_and_test(parts, record, said, cost=cost, boundary=boundary, logs=logs)


def _cost_since(start: float, settings: Settings, compute: Compute) -> CostCallback:
    energy = EnergyMeter(counters_of(compute.device))
    return CostCallback(start=start, energy=energy, counts_steps=not settings.optim.solves)


def _store(parts: Parts, record: RunRecord) -> None:
    """Let the run train on what frozen stages give. Of several processes a callback calls it, once they are joined."""
    stored, record.cache = store_frozen_stages(parts)
    if stored is not None:
        parts.read_from(stored)


def _wait_for_others(others: Meeting, held: dict[str, str]) -> None:
    """Compare already here: processes with other devices would wait for a group of processes that none can make."""
    held_by_all = [json.loads(of_one) for of_one in others.words_of_all(json.dumps(held))]
    others.wait_for_all()  # who reads last what the others said
    refuse_disagreement(held_by_all, rank=others.rank)


def _describe_parts(record: RunRecord, parts: Parts, folder: Path, boundary: Boundary | None) -> None:
    describe(record, parts)
    for note in (*compute_notes(parts.compute, boundary), *one_thread_note(parts.compute, parts.settings)):
        _log.warning("Note: %s.", note)
    if boundary is not None:
        boundary.refuse_others(record)
    if is_main():
        record.save_progress(folder)
        write_atomically(folder / SPLITS_FILE, encoded(split_table(parts.data.source, parts.data.splits)))
    record.progress.doing = "computing what frozen stages give"  # until the training says otherwise


def _held(record: RunRecord, parts: Parts) -> dict[str, str]:
    """What every process of the run must hold alike. Where its images lie, each may see differently."""
    train = parts.data.dataset("train")
    settings = {key: str(value) for key, value in record.settings.items() if not key.startswith("data.")}
    return {
        **settings,
        "seed": str(record.seed),
        "trainer.accelerator": parts.compute.described.kind,
        "trainer.precision": parts.compute.precision.of_stages,  # what `auto` stands for here
        "data.fingerprint": train.fingerprint(),  # of the images and of the split
        "model.weights_sha256": str(record.model.weights_sha256),
    }

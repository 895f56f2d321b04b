"""One run from config to record."""

import contextlib
import time
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console

from thawline import __version__
from thawline.atomic import write_atomically
from thawline.callbacks.cost import CostCallback
from thawline.errors import UserError
from thawline.machine.compute import choose_compute
from thawline.machine.energy import EnergyMeter, counters_of
from thawline.machine.processes import is_main, only_main_talks
from thawline.machine.sigterm import ended_by_sigterm
from thawline.machine.thread_trial import candidates, threads_restored
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.record_sections import StrategySection
from thawline.report.run_record import RunRecord, recorded
from thawline.report.summary import next_steps, summary_panel
from thawline.runs import auto
from thawline.runs.announce import announce
from thawline.runs.build import build
from thawline.runs.caching import store_frozen_stages
from thawline.runs.composed import Composed, RunConfig
from thawline.runs.context import RunContext
from thawline.runs.describe import describe
from thawline.runs.fit import fit_and_test
from thawline.runs.lock import owned
from thawline.runs.quiet import quiet
from thawline.runs.resume import CHECKPOINT, CONFIG_NAME, Boundary, resumed, told_how_to_go_on
from thawline.runs.whose_fault import users_code_named

# Of the config's leaves, those in which runs of one group may differ: they change no result, or are the seed.
_NOT_COMPARED = (
    "seed",
    "data.num_workers",
    "advise.max_images",
    "budget.minutes",
    "budget.memory_gb",
    "cost.per_hour",
    "threads",
)


def train(composed: Composed, context: RunContext) -> RunRecord:
    """Train, test and record one run in the context's folder, or go on with the one that lies there."""
    start = time.perf_counter()
    only_main_talks()
    folder = context.folder
    composed, record, boundary = _fresh_or_resumed(composed, context)
    record.versions = _versions()
    with (
        owned(folder),
        ended_by_sigterm(),
        told_how_to_go_on(folder, composed.output_dir),
        recorded(record, folder) if is_main() else contextlib.nullcontext(),
        quiet(),
        threads_restored(),
    ):
        if boundary is None and record.scenario == auto.SCENARIO:
            composed, record.advice = auto.advised(composed, context)
        config = composed.read()
        with users_code_named(config.leaves):
            _run(config, context, record, start=start, boundary=boundary)
    if is_main():
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        Console().print(summary_panel(record))
        print(next_steps(shown, Path(config.settings.output_dir), record.advice))
    return record


def _run(config: RunConfig, context: RunContext, record: RunRecord, *, start: float, boundary: Boundary | None) -> None:
    """Build, store what frozen stages compute, train, test; `record` learns what happens."""
    settings, folder = config.settings, context.folder
    record.settings = {key: value for key, value in config.leaves.items() if key not in _NOT_COMPARED}
    record.strategy = StrategySection(settings.strategy.name, settings.strategy.unfreeze_depth)
    if boundary is None and is_main():
        write_atomically(folder / CONFIG_NAME, config.text)
    compute = choose_compute(accelerator=settings.trainer.accelerator, precision=settings.trainer.precision)
    if compute.on_cpu and settings.trainer.devices == 1:
        torch.set_num_threads(candidates(settings.threads)[0])
    cost = CostCallback(start=start, energy=EnergyMeter(counters_of(compute.device)))
    _refuse_processes_in_a_sweep(settings.trainer.devices, context)
    parts = build(settings, compute, step=boundary.step if boundary else 0)
    describe(record, parts)
    if boundary is not None:
        boundary.refuse_others(record)
    if is_main():
        record.save(folder)
    announce(parts, record, context, resuming=boundary is not None)
    stored, record.cache = store_frozen_stages(parts)
    if stored is not None:
        parts.read_from(stored)
    fit_and_test(parts, record, folder=folder, config_text=config.text, cost=cost, boundary=boundary)


def _fresh_or_resumed(composed: Composed, context: RunContext) -> tuple[Composed, RunRecord, Boundary | None]:
    folder = context.folder
    if not context.multirun and composed.resumes_sweep:
        raise UserError("sweep.resume=true: goes on with a sweep, so add -m; with one run goes on resume=RUN")
    if composed.resume is None:
        scenario = context.choices["scenario"]
        return composed, RunRecord(run_id=folder.name, scenario=scenario, seed=composed.seed), None
    if context.multirun:
        raise UserError(f"resume={composed.resume}: goes on with one run; leave out -m")
    step = int(load_checkpoint(folder / CHECKPOINT)["global_step"])
    composed, before = resumed(composed, context)
    record = RunRecord(run_id=before.run_id, scenario=before.scenario, seed=before.seed, advice=before.advice)
    return composed, record, Boundary(folder / CHECKPOINT, step, before)


def _refuse_processes_in_a_sweep(devices: int, context: RunContext) -> None:
    if devices > 1 and context.multirun:
        raise UserError(
            f"trainer.devices={devices}: several processes for a job of a sweep need hydra/launcher=subprocess"
        )


def _versions() -> dict[str, str]:
    return {"thawline": __version__, **{name: version(name) for name in ("torch", "lightning", "timm")}}

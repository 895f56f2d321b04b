"""One run from config to record."""

import contextlib
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from thawline import __version__
from thawline.callbacks.cost import CostCallback
from thawline.errors import UserError
from thawline.features.readout import make_readout
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import make_plan
from thawline.freezing.status import status
from thawline.machine.device import choose_device
from thawline.machine.energy import EnergyMeter, counters_of
from thawline.machine.memory import keep_freed_memory
from thawline.machine.precision import choose_precision
from thawline.machine.processes import is_main, local_rank, num_cores, only_main_talks
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.compiled import choose_compile
from thawline.models.fused import fuse_where_faster
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.run_record import RunRecord, recorded
from thawline.report.summary import next_steps, summary_panel
from thawline.runs import auto
from thawline.runs.announce import announce
from thawline.runs.caching import cache_frozen_stages
from thawline.runs.config import flat, resolve, seed_setting, settings_of, sweep_settings
from thawline.runs.fit import fit_and_test
from thawline.runs.lock import owned
from thawline.runs.make import make
from thawline.runs.parts import Parts, describe
from thawline.runs.quiet import quiet
from thawline.runs.resume import CHECKPOINT, CONFIG_NAME, Boundary, resumed, told_how_to_go_on
from thawline.runs.termination import ended_by_sigterm
from thawline.settings.conflicts import refuse_conflicts
from thawline.settings.run_settings import Settings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import plan_steps

# Of the config's leaves, those in which runs of one group may differ: they change no result, or are the seed.
_NOT_COMPARED = ("seed", "data.num_workers", "advise.max_images", "budget.minutes", "budget.memory_gb", "cost.per_hour")


def train(cfg: DictConfig) -> RunRecord:
    """Train, test and record one run in Hydra's output folder, or go on with the one that lies there."""
    start = time.perf_counter()
    only_main_talks()
    folder = Path(HydraConfig.get().runtime.output_dir)
    cfg, record, boundary = _fresh_or_resumed(cfg, folder)
    record.versions = _versions()
    with (
        owned(folder),
        ended_by_sigterm(),
        told_how_to_go_on(folder, cfg.output_dir),
        recorded(record, folder) if is_main() else contextlib.nullcontext(),
        quiet(),
    ):
        if boundary is None and record.scenario == auto.SCENARIO:
            cfg, record.advice = auto.advised(cfg, folder)
        cfg = resolve(cfg)
        chosen = settings_of(cfg)
        record.settings = {key: value for key, value in flat(cfg).items() if key not in _NOT_COMPARED}
        if boundary is None and is_main():
            OmegaConf.save(cfg, folder / CONFIG_NAME)
        device, processes = choose_device(chosen.trainer.accelerator), chosen.trainer.devices
        cost = CostCallback(start=start, energy=EnergyMeter(counters_of(device)))
        parts = _build(cfg, chosen, record, device=device, step=boundary.step if boundary else 0)
        if boundary is not None:
            boundary.refuse_others(record)
        if is_main():
            record.save(folder)
        announce(cfg, parts, record, resuming=boundary is not None)
        record.cache = asdict(
            cache_frozen_stages(parts, chosen.cache, device=device, processes=processes, depths=chosen.sweep.depths)
        )
        fit_and_test(cfg, parts, record, folder=folder, cost=cost, boundary=boundary)
    if is_main():
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        Console().print(summary_panel(record))
        print(next_steps(shown, Path(cfg.output_dir), record.advice))
    return record


def _fresh_or_resumed(cfg: DictConfig, folder: Path) -> tuple[DictConfig, RunRecord, Boundary | None]:
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.RUN and sweep_settings(cfg).resume:
        raise UserError("sweep.resume=true: goes on with a sweep, so add -m; with one run goes on resume=RUN")
    if cfg.resume is None:
        scenario = str(hydra.runtime.choices["scenario"])
        return cfg, RunRecord(run_id=folder.name, scenario=scenario, seed=seed_setting(cfg)), None
    if hydra.mode == RunMode.MULTIRUN:
        raise UserError(f"resume={cfg.resume}: goes on with one run; leave out -m")
    step = int(load_checkpoint(folder / CHECKPOINT)["global_step"])
    cfg, before = resumed(cfg, folder=folder, overrides=list(hydra.overrides.task))
    record = RunRecord(run_id=before.run_id, scenario=before.scenario, seed=before.seed, advice=before.advice)
    return cfg, record, Boundary(folder / CHECKPOINT, step, before)


def _build(cfg: DictConfig, chosen: Settings, record: RunRecord, *, device: torch.device, step: int) -> Parts:
    """Load model and data, as they are at optimizer step `step`; `record` learns what they are."""
    strategy = chosen.strategy
    record.strategy = {"name": strategy.name, "unfreeze_depth": strategy.unfreeze_depth}
    refuse_conflicts(chosen)
    weights = chosen.model.weights if strategy.pretrained else "none"
    if chosen.trainer.devices > 1 and HydraConfig.get().mode == RunMode.MULTIRUN:
        devices = chosen.trainer.devices
        raise UserError(
            f"trainer.devices={devices}: several processes for a job of a sweep need hydra/launcher=subprocess"
        )
    if device.type == "cpu":
        keep_freed_memory()
    L.seed_everything(record.seed, workers=True, verbose=False)
    backbone = build_backbone(chosen.model.name, weights=weights, image_size=chosen.model.image_size)
    names = [stage.name for stage in backbone.stages]
    plan = make_plan(strategy, stage_names=names, model_name=backbone.name)
    data = _data(cfg, chosen, backbone, seed=record.seed, device=device)
    readout = make_readout(strategy, backbone)
    num_features = readout.num_features(backbone) if readout else backbone.num_features
    sizes = {"num_features": num_features, "num_classes": data.num_classes}
    head: nn.Module = make(cfg.model.head, "model.head", **sizes)
    epochs = chosen.optim.epochs or chosen.trainer.max_epochs
    steps = plan_steps(data.num_train_batches, replace(chosen.trainer, max_epochs=epochs))
    precision = choose_precision(chosen.trainer.precision, device)
    model = TransferClassifier(
        BoundPlan(plan.until(steps.epochs), backbone, head),
        num_classes=data.num_classes,
        optim=chosen.optim,
        steps=steps,
        regularize=chosen.regularize,
        prefix_dtype=precision.prefix,
        readout=readout,
        compiled=choose_compile(chosen.compile, device=device, num_images=steps.total * data.batch_size),
    )
    never_trains = min(model.bound.ever_training(), default=backbone.num_stages)
    model.fused = fuse_where_faster(backbone, never_trains, dtype=precision.prefix, device=device)
    epoch = min(step // steps.per_epoch, steps.epochs - 1)
    model.bound.apply(epoch)
    parts = Parts(data, model, plan, status(backbone, head), epoch, steps, precision)
    describe(record, parts, strategy=strategy, weights=weights)
    record.machine = _machine(device, parts, processes=chosen.trainer.devices)
    return parts


def _data(cfg: DictConfig, chosen: Settings, backbone: Backbone, *, seed: int, device: torch.device) -> ImageDataModule:
    return ImageDataModule(
        make(cfg.data.source, "data.source"),
        spec=backbone.input,
        loader=chosen.loader,
        seed=seed,
        on_cpu=device.type == "cpu",
        rank=local_rank(),
        world_size=chosen.trainer.devices,
        one_batch=chosen.optim.name == "lbfgs",
    )


def _machine(device: torch.device, parts: Parts, *, processes: int) -> dict[str, str | int]:
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "cores": num_cores(),
        "processes": processes,
        "precision": parts.precision.trainer,
        "prefix_precision": str(parts.precision.prefix).removeprefix("torch."),
    }


def _versions() -> dict[str, str]:
    return {"thawline": __version__, **{name: version(name) for name in ("torch", "lightning", "timm")}}

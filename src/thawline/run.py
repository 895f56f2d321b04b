"""One run from config to record."""

import contextlib
import logging
import time
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
from thawline.config import (
    loader_settings,
    model_settings,
    optim_settings,
    regularize_settings,
    resolve,
    seed_setting,
    strategy_settings,
    trainer_settings,
)
from thawline.data.datamodule import ImageDataModule
from thawline.errors import UserError
from thawline.fit import fit_and_test
from thawline.make import make
from thawline.memory import keep_freed_memory
from thawline.models import freezing
from thawline.models.backbone import build_backbone
from thawline.models.checkpoint import load_checkpoint
from thawline.models.classifier import TransferClassifier
from thawline.models.plan import make_plan
from thawline.parts import Parts, describe
from thawline.precision import choose_precision
from thawline.processes import is_main, local_rank, num_cores, only_main_talks, owned
from thawline.quiet import quiet
from thawline.report.run_record import RunRecord, recorded
from thawline.report.status_table import plan_table, status_table
from thawline.report.summary import summary_panel
from thawline.resume import CHECKPOINT, CONFIG_NAME, Boundary, resumed
from thawline.settings import StrategySettings
from thawline.sizes import size_note
from thawline.steps import plan_steps
from thawline.termination import ended_by_sigterm

_log = logging.getLogger(__name__)
# BatchNorm's statistics get noisy below this many images a process; Wu and He 2018, "Group Normalization", figure 1.
_SMALL_FOR_BATCHNORM = 16


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
        recorded(record, folder) if is_main() else contextlib.nullcontext(),
        quiet(),
    ):
        cfg = resolve(cfg)
        if boundary is None and is_main():
            OmegaConf.save(cfg, folder / CONFIG_NAME)
        parts = _build(cfg, record)
        if boundary is not None:
            boundary.refuse_others(record)
        if is_main():
            record.save(folder)
        _announce(cfg, parts, record, resuming=boundary is not None)
        fit_and_test(cfg, parts, record, folder=folder, start=start, boundary=boundary)
    if is_main():
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        Console().print(summary_panel(record, folder=shown, log_root=Path(cfg.output_dir)))
    return record


def _fresh_or_resumed(cfg: DictConfig, folder: Path) -> tuple[DictConfig, RunRecord, Boundary | None]:
    hydra = HydraConfig.get()
    if cfg.resume is None:
        scenario = str(hydra.runtime.choices["scenario"])
        return cfg, RunRecord(run_id=folder.name, scenario=scenario, seed=seed_setting(cfg)), None
    if hydra.mode == RunMode.MULTIRUN:
        raise UserError(f"resume={cfg.resume}: goes on with one run; leave out -m")
    step = int(load_checkpoint(folder / CHECKPOINT)["global_step"])
    cfg, before = resumed(cfg, folder=folder, overrides=list(hydra.overrides.task))
    record = RunRecord(run_id=before.run_id, scenario=before.scenario, seed=before.seed)
    return cfg, record, Boundary(folder / CHECKPOINT, step, before)


def _build(cfg: DictConfig, record: RunRecord) -> Parts:
    """Check the settings, then load model and data; `record` learns what they are."""
    strategy, optim, wanted = strategy_settings(cfg), optim_settings(cfg), model_settings(cfg)
    loader, trainer, regularize = loader_settings(cfg), trainer_settings(cfg), regularize_settings(cfg)
    record.strategy = {"name": strategy.name, "unfreeze_depth": strategy.unfreeze_depth}
    weights = _weights(strategy, wanted.weights, l2_sp=regularize.l2_sp)
    if trainer.devices > 1 and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise UserError(f"trainer.devices={trainer.devices}: several processes in a sweep; run the jobs without -m")
    device = _device(trainer.accelerator)
    if device.type == "cpu":
        keep_freed_memory()
    L.seed_everything(record.seed, workers=True, verbose=False)
    backbone = build_backbone(wanted.name, weights=weights, image_size=wanted.image_size)
    names = [stage.name for stage in backbone.stages]
    plan = make_plan(strategy, stage_names=names, model_name=wanted.name)
    source = make(cfg.data.source, "data.source")
    data = ImageDataModule(
        source,
        spec=backbone.input,
        loader=loader,
        seed=record.seed,
        on_cpu=device.type == "cpu",
        rank=local_rank(),
        world_size=trainer.devices,
    )
    sizes = {"num_features": backbone.num_features, "num_classes": data.num_classes}
    head: nn.Module = make(cfg.model.head, "model.head", **sizes)
    steps, precision = plan_steps(data.num_train_batches, trainer), choose_precision(trainer.precision, device)
    model = TransferClassifier(
        freezing.BoundPlan(plan.until(steps.epochs), backbone, head),
        num_classes=data.num_classes,
        optim=optim,
        steps=steps,
        regularize=regularize,
        prefix_dtype=precision.prefix,
    )
    model.bound.apply(0)
    parts = Parts(data, model, freezing.status(backbone, head), steps, precision)
    describe(record, parts, strategy=strategy, weights=weights)
    record.machine = _machine(device, parts, processes=trainer.devices)
    if unreached := len(plan.phases) - len(model.bound.plan.phases):
        last = plan.phases[-1].from_epoch + 1
        _log.warning(
            "Note: training ends after epoch %d, before %d of the plan's changes, the last at epoch %d. "
            "Reach them with trainer.max_epochs=%d.", steps.epochs, unreached, last, last,
        )  # fmt: skip
    return parts


def _weights(strategy: StrategySettings, wanted: str, *, l2_sp: float) -> str:
    weights = wanted if strategy.pretrained else "none"
    if l2_sp and weights == "none":
        raise UserError(f"regularize.l2_sp={l2_sp}: pulls towards pretrained weights, and there are none; set it to 0")
    return weights


def _announce(cfg: DictConfig, parts: Parts, record: RunRecord, *, resuming: bool) -> None:
    """Say before training what will train, and where the run departs from its name."""
    counts = {split: len(indices) for split, indices in parts.data.splits.items()}
    num_images = sum(counts.values())
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    if HydraConfig.get().mode == RunMode.MULTIRUN or resuming:
        _log.info("%s %s", "Resuming" if resuming else "Run", record.run_id)
    _log.info("%s: %s images (%s), %d classes", record.data["name"], f"{num_images:,}", sizes, parts.data.num_classes)
    for note in _notes(parts, record, num_images):
        _log.warning("Note: %s.", note)
    steps = parts.steps
    if cfg.trainer.max_epochs > 0 and steps.total < cfg.trainer.max_epochs * steps.per_epoch:
        share = steps.total / steps.per_epoch
        told = f"{share:.1%} of one epoch" if share < 1 else f"{share:.1f} epochs"
        key = "trainer=default" if HydraConfig.get().runtime.choices["trainer"] == "bounded" else "trainer.max_steps=-1"
        _log.warning("Bounded: training stops after %d steps (%s). Lift the bound with %s.", steps.total, told, key)
    if is_main():
        Console().print(status_table(parts.rows))
        if parts.bound.plan.changes:
            Console().print(plan_table(parts.phase_rows()))
    _log.info("%s", parts.trainable_line())


def _notes(parts: Parts, record: RunRecord, num_images: int) -> list[str]:
    notes = []
    if note := size_note(record.scenario, num_images):
        notes.append(note)
    if record.model["weights"] == "none" and len(parts.bound.ever_training()) < parts.bound.plan.num_stages:
        notes.append("the frozen stages hold random weights; nothing was learned in them, nor will be")
    batch = parts.data.batch_size
    if (
        parts.bound.plan.batchnorm == "train"
        and batch < _SMALL_FOR_BATCHNORM
        and parts.model.backbone.holds_batchnorm(parts.bound.ever_training())
    ):
        notes.append(
            f"batches of {batch} images are small for the BatchNorm statistics of the training stages; "
            f"{_SMALL_FOR_BATCHNORM} or more, or strategy.batchnorm=eval, would be steadier"
        )
    return notes


def _device(accelerator: str) -> torch.device:
    return torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")


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

"""One run from config to record: the only module that instantiates what a config names."""

import logging
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from thawline import __version__
from thawline.callbacks.checkpoint import MONITOR, BestCheckpoint
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.freeze import FreezeCallback, refuse_unsafe
from thawline.callbacks.progress import progress_callbacks
from thawline.callbacks.tensorboard import EventFileLogger, TensorBoardCallback, log_finals
from thawline.config import (
    loader_settings,
    model_settings,
    optim_settings,
    resolve,
    seed_setting,
    strategy_settings,
    trainer_settings,
)
from thawline.data.datamodule import ImageDataModule
from thawline.errors import UserError
from thawline.memory import keep_freed_memory
from thawline.models import freezing
from thawline.models.backbone import build_backbone
from thawline.models.classifier import TransferClassifier
from thawline.parts import Parts, describe, hyperparameters
from thawline.precision import choose_precision
from thawline.quiet import quiet
from thawline.report.run_record import RunRecord, recorded
from thawline.report.status_table import status_markdown, status_table
from thawline.report.summary import summary_panel
from thawline.sizes import size_note
from thawline.steps import plan_steps

_log = logging.getLogger(__name__)
# What a wrong config node makes the target raise: no such name, a wrong argument, a value it does not take.
_NODE_ERRORS = (ImportError, AttributeError, TypeError, ValueError, MisconfigurationException)


def train(cfg: DictConfig) -> RunRecord:
    """Train, test and record one run in Hydra's output folder."""
    start = time.perf_counter()
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    scenario = str(hydra.runtime.choices["scenario"])
    record = RunRecord(run_id=folder.name, scenario=scenario, seed=seed_setting(cfg), versions=_versions())
    with recorded(record, folder), quiet():
        cfg = resolve(cfg)
        OmegaConf.save(cfg, folder / "config.yaml")
        parts = _build(cfg, record)
        _announce(cfg, parts, record)
        _fit_and_test(cfg, parts, record, folder=folder, start=start)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    panel = summary_panel(record, folder=shown, trainable_line=parts.trainable_line, log_root=Path(cfg.output_dir))
    Console().print(panel)
    return record


def _build(cfg: DictConfig, record: RunRecord) -> Parts:
    """Check the settings, then load model and data; `record` learns what they are."""
    strategy, optim, wanted = strategy_settings(cfg), optim_settings(cfg), model_settings(cfg)
    loader, trainer = loader_settings(cfg), trainer_settings(cfg)
    record.strategy = {"name": strategy.name, "unfreeze_depth": strategy.unfreeze_depth}
    device = _device(trainer.accelerator)
    if device.type == "cpu":
        keep_freed_memory()
    L.seed_everything(record.seed, workers=True, verbose=False)
    weights = wanted.weights if strategy.pretrained else "none"
    backbone = build_backbone(wanted.name, weights=weights, image_size=wanted.image_size)
    plan = freezing.make_plan(strategy.unfreeze_depth, num_stages=backbone.num_stages, model_name=wanted.name)
    source = _make(cfg.data.source, "data.source")
    data = ImageDataModule(source, spec=backbone.input, loader=loader, seed=record.seed, on_cpu=device.type == "cpu")
    sizes = {"num_features": backbone.num_features, "num_classes": data.num_classes}
    head: nn.Module = _make(cfg.model.head, "model.head", **sizes)
    steps, precision = plan_steps(data.num_train_batches, trainer), choose_precision(trainer.precision, device)
    model = TransferClassifier(
        backbone,
        head,
        num_classes=data.num_classes,
        stages=plan.ever_training(),
        optim=optim,
        total_steps=steps.total,
        prefix_dtype=precision.prefix,
    )
    freezing.apply(backbone, plan.training_stages(0))
    parts = Parts(data, model, plan, freezing.status(backbone, head), steps, precision)
    describe(record, parts, weights=weights)
    return parts


def _announce(cfg: DictConfig, parts: Parts, record: RunRecord) -> None:
    """Say before training what will train, and where the run departs from its name."""
    counts = {split: len(indices) for split, indices in parts.data.splits.items()}
    num_images = sum(counts.values())
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        _log.info("Run %s", record.run_id)
    _log.info("%s: %s images (%s), %d classes", record.data["name"], f"{num_images:,}", sizes, parts.data.num_classes)
    if note := size_note(record.scenario, num_images):
        _log.warning("Note: %s.", note)
    if record.model["weights"] == "none" and len(parts.plan.ever_training()) < parts.plan.num_stages:
        _log.warning("Note: the frozen stages hold random weights; nothing was learned in them, nor will be.")
    epochs, steps = cfg.trainer.max_epochs, parts.steps
    if epochs > 0 and steps.total < epochs * steps.per_epoch:
        share = steps.total / steps.per_epoch
        told = f"{share:.1%} of one epoch" if share < 1 else f"{share:.1f} epochs"
        key = "trainer=default" if HydraConfig.get().runtime.choices["trainer"] == "bounded" else "trainer.max_steps=-1"
        _log.warning("Bounded: training stops after %d steps (%s). Lift the bound with %s.", steps.total, told, key)
    Console().print(status_table(parts.rows))
    _log.info("%s", parts.trainable_line)


def _fit_and_test(cfg: DictConfig, parts: Parts, record: RunRecord, *, folder: Path, start: float) -> None:
    best, freeze, cost = BestCheckpoint(folder / "checkpoints"), FreezeCallback(parts.plan), CostCallback()
    texts = {
        "model_status": status_markdown(parts.rows, parts.trainable_line),
        "config": f"```yaml\n{OmegaConf.to_yaml(cfg)}\n```",
    }
    own = [_make(node, f"callbacks.{key}") for key, node in cfg.callbacks.items() if node is not None]
    refuse_unsafe(own, parts.plan)
    logger = EventFileLogger(folder)
    callbacks = [freeze, cost, TensorBoardCallback(texts), best, *progress_callbacks(), *own]
    trainer = _trainer(cfg, parts, logger, callbacks)
    try:
        tested = _run_trainer(trainer, parts, best)
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop
    finally:
        record.freeze = {"verified": freeze.verified, "checks": freeze.checks}
    assert best.best_model_score is not None
    record.metrics = {"val/accuracy": float(best.best_model_score), **tested}
    cost.cost.wall_s = time.perf_counter() - start
    record.cost = asdict(cost.cost)
    finals = {**record.metrics, **{f"cost/{k}": float(v) for k, v in record.cost.items()}}
    log_finals(logger, hyperparameters(record, parts), finals, step=parts.steps.total)
    logger.close()


def _run_trainer(trainer: L.Trainer, parts: Parts, best: BestCheckpoint) -> dict[str, float]:
    """Fit; validate the end of the training if it was not; test the best checkpoint once."""
    trainer.fit(parts.model, datamodule=parts.data)
    best.write_last(trainer)
    if best.validated_step < trainer.global_step:
        (scores,) = trainer.validate(parts.model, datamodule=parts.data, verbose=False)
        best.consider_last(scores[MONITOR])
    (tested,) = trainer.test(parts.model, datamodule=parts.data, ckpt_path=best.best, weights_only=True, verbose=False)
    return {key: float(value) for key, value in tested.items()}


def _trainer(cfg: DictConfig, parts: Parts, logger: EventFileLogger, callbacks: list[L.Callback]) -> L.Trainer:
    trainer: L.Trainer = _make(
        cfg.trainer,
        "trainer",
        logger=logger,
        callbacks=callbacks,
        precision=parts.precision.trainer,
        val_check_interval=parts.steps.validate_every,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        default_root_dir=logger.log_dir,
    )
    return trainer


def _make(node: Any, key: str, **extra: Any) -> Any:
    """Make the object that a config node names; what is wrong with the node becomes one line, a defect stays one."""
    try:
        return instantiate(node, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if cause is None or isinstance(cause, _NODE_ERRORS):
            reason = str(cause or error).strip().splitlines()[0]
            raise UserError(f"{key}: {node.get('_target_')} cannot be made ({reason})") from error
        raise cause from error


def _device(accelerator: str) -> torch.device:
    return torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")


def _versions() -> dict[str, str]:
    return {"thawline": __version__, **{name: version(name) for name in ("torch", "lightning", "timm")}}

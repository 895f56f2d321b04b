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
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import nn

from thawline import __version__
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.freeze import FreezeCallback, refuse_unsafe
from thawline.callbacks.progress import progress_callbacks
from thawline.callbacks.tensorboard import EventFileLogger, TensorBoardCallback, log_finals
from thawline.config import loader_settings, model_settings, optim_settings, resolve, strategy_settings
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

_log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> RunRecord:
    """Train, test and record one run in Hydra's output folder."""
    start = time.perf_counter()
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    scenario = str(hydra.runtime.choices["scenario"])
    record = RunRecord(run_id=folder.name, scenario=scenario, seed=cfg.seed, versions=_versions())
    with recorded(record, folder), quiet():
        cfg = resolve(cfg)
        OmegaConf.save(cfg, folder / "config.yaml")
        parts = _build(cfg, record)
        _announce(cfg, parts, record)
        _fit_and_test(cfg, parts, record, folder=folder, start=start)
    panel = summary_panel(record, folder=folder, trainable_line=parts.trainable_line, log_root=Path(cfg.output_dir))
    Console().print(panel)
    return record


def _build(cfg: DictConfig, record: RunRecord) -> Parts:
    """Check the settings, then load model and data; `record` learns what they are."""
    strategy, optim, wanted = strategy_settings(cfg), optim_settings(cfg), model_settings(cfg)
    loader = loader_settings(cfg)
    record.strategy = {"name": strategy.name, "unfreeze_depth": strategy.unfreeze_depth}
    if cfg.trainer.devices != 1:
        raise UserError(f"trainer.devices={cfg.trainer.devices}: this version trains in one process; allowed is 1")
    device = _device(cfg.trainer.accelerator)
    if device.type == "cpu":
        keep_freed_memory()
    precision = choose_precision(cfg.trainer.precision, device)
    cfg.trainer.precision = precision.trainer
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    backbone = build_backbone(wanted.name, weights=wanted.weights, image_size=wanted.image_size)
    plan = freezing.make_plan(strategy.unfreeze_depth, num_stages=backbone.num_stages, model_name=wanted.name)
    source = _make(cfg.data.source, "data.source")
    data = ImageDataModule(source, spec=backbone.input, loader=loader, seed=cfg.seed)
    sizes = {"num_features": backbone.num_features, "num_classes": data.num_classes}
    head: nn.Module = _make(cfg.model.head, "model.head", **sizes)
    model = TransferClassifier(
        backbone,
        head,
        num_classes=data.num_classes,
        stages=plan.ever_training(),
        optim=optim,
        total_steps=_total_steps(cfg.trainer, data.num_train_batches),
        prefix_dtype=precision.prefix,
    )
    freezing.apply(backbone, plan.training_stages(0))
    parts = Parts(data, model, plan, freezing.status(backbone, head))
    describe(record, parts, weights=wanted.weights)
    return parts


def _announce(cfg: DictConfig, parts: Parts, record: RunRecord) -> None:
    """Say before training what will train, and where the run departs from its name."""
    counts = {split: len(indices) for split, indices in parts.data.splits.items()}
    num_images = sum(counts.values())
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    _log.info("%s: %s images (%s), %d classes", record.data["name"], f"{num_images:,}", sizes, parts.data.num_classes)
    if note := size_note(record.scenario, num_images):
        _log.warning("Note: %s.", note)
    epoch, bound = parts.data.num_train_batches, cfg.trainer.max_steps
    if 0 < bound < epoch * cfg.trainer.max_epochs:
        share = f"{bound / epoch:.1%} of one epoch" if bound < epoch else f"{bound / epoch:.1f} epochs"
        _log.warning("Bounded: training stops after %d steps (%s). Lift the bound with trainer=default.", bound, share)
    Console().print(status_table(parts.rows))
    _log.info("%s", parts.trainable_line)


def _fit_and_test(cfg: DictConfig, parts: Parts, record: RunRecord, *, folder: Path, start: float) -> None:
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="val/accuracy",
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    freeze, cost = FreezeCallback(parts.plan), CostCallback()
    texts = {
        "model_status": status_markdown(parts.rows, parts.trainable_line),
        "config": f"```yaml\n{OmegaConf.to_yaml(cfg)}\n```",
    }
    own = [_make(node, f"callbacks.{key}") for key, node in cfg.callbacks.items() if node is not None]
    refuse_unsafe(own, parts.plan)
    logger = EventFileLogger(folder)
    callbacks = [freeze, cost, TensorBoardCallback(texts), checkpoint, *progress_callbacks(), *own]
    trainer = _trainer(cfg, parts, logger, callbacks)
    try:
        trainer.fit(parts.model, datamodule=parts.data)
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop
    best = Path(checkpoint.best_model_path)
    if checkpoint.best_model_score is None or not best.is_file():  # Lightning may report a save that did not happen
        raise RuntimeError(f"no checkpoint was written to {checkpoint.dirpath}")
    steps = trainer.global_step
    (tested,) = trainer.test(parts.model, datamodule=parts.data, ckpt_path=best, weights_only=True, verbose=False)
    record.metrics = {"val/accuracy": float(checkpoint.best_model_score), **{k: float(v) for k, v in tested.items()}}
    cost.cost.wall_s = time.perf_counter() - start
    record.cost = asdict(cost.cost)
    record.freeze = {"verified": bool(freeze.verified), "checks": freeze.checks}
    finals = {**record.metrics, **{f"cost/{k}": float(v) for k, v in record.cost.items()}}
    log_finals(logger, hyperparameters(record, parts), finals, step=steps)
    logger.close()


def _trainer(cfg: DictConfig, parts: Parts, logger: EventFileLogger, callbacks: list[L.Callback]) -> L.Trainer:
    trainer: L.Trainer = _make(
        cfg.trainer,
        "trainer",
        logger=logger,
        callbacks=callbacks,
        val_check_interval=_val_check_interval(cfg.trainer, parts.data.num_train_batches),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        default_root_dir=logger.log_dir,
    )
    return trainer


def _val_check_interval(trainer: DictConfig, epoch: int) -> float | int:
    """At least one validation in every epoch and before the bound: without one there is no best checkpoint."""
    wanted = trainer.val_check_interval
    steps = wanted if isinstance(wanted, int) else max(1, round(wanted * epoch))
    bound = trainer.max_steps if trainer.max_steps > 0 else epoch
    shortest = min(steps, bound, epoch)
    return 1.0 if shortest == epoch else int(shortest)


def _make(node: Any, key: str, **extra: Any) -> Any:
    """Make the object that a config node names; what is wrong with the node becomes one line."""
    try:
        return instantiate(node, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"{key}: {node.get('_target_')} cannot be made ({cause or error})") from error


def _device(accelerator: str) -> torch.device:
    return torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")


def _total_steps(trainer: DictConfig, epoch: int) -> int:
    steps = int(trainer.max_epochs) * epoch
    return min(steps, int(trainer.max_steps)) if trainer.max_steps > 0 else steps


def _versions() -> dict[str, str]:
    return {"thawline": __version__, **{name: version(name) for name in ("torch", "lightning", "timm")}}

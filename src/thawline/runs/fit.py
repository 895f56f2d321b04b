"""Fit, choose the weights, test them once, and write down what happened."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from thawline.callbacks.averaging import AverageWeights
from thawline.callbacks.best_and_last import MONITOR, BestCheckpoint, LastCheckpoint
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.curves import CurvesCallback
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.mistakes import MistakesCallback
from thawline.callbacks.progress import StopAtStep, progress_callbacks
from thawline.callbacks.refusals import refuse_unsafe
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.callbacks.tensorboard import EventFileLogger, TensorBoardCallback, log_finals
from thawline.errors import UserError
from thawline.freezing.certificate import certificate, write_certificate
from thawline.freezing.status_table import plan_markdown, status_markdown
from thawline.machine.processes import is_main
from thawline.models.digests import digests
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.advice_json import FIGURE_NAME
from thawline.report.run_figures import confusion_figure, mistakes_figure, plan_figure
from thawline.report.run_record import RunRecord
from thawline.runs.config import cost_settings
from thawline.runs.make import make
from thawline.runs.parts import Parts, hyperparameters
from thawline.runs.resume import Boundary
from thawline.runs.termination import EndBySigterm, Terminated
from thawline.runs.tested_weights import choose

_MAX_CONFUSION = 200  # chosen: classes up to which run.json holds the matrix; then it has 40,000 numbers


def fit_and_test(
    cfg: DictConfig, parts: Parts, record: RunRecord, *, folder: Path, cost: CostCallback, boundary: Boundary | None
) -> None:
    """Train from `boundary`, or from the start; `record` learns metrics, cost and the state of the freeze.

    Args:
        cost: Since the run began.
    """
    guard = FreezeGuard.bound_to(parts.bound) if cfg.strategy.guard else None
    best, last = BestCheckpoint(folder / "checkpoints"), LastCheckpoint(folder / "checkpoints")
    curves, mistakes = CurvesCallback(), MistakesCallback()
    logger = EventFileLogger(folder, first_step=boundary.step if boundary else None)
    callbacks = _callbacks(cfg, parts, record, [cost, best, curves, mistakes], folder=folder, guard=guard, last=last)
    trainer = _trainer(cfg, parts, logger, callbacks)
    mixing = parts.model.regularize.wise_ft_shares != [1.0]
    pretrained = {n: t.detach().clone() for n, t in parts.bound.tensors().items()} if mixing else {}
    try:
        trainer.fit(
            parts.model, datamodule=parts.data, ckpt_path=boundary.checkpoint if boundary else None, weights_only=True
        )
        fitted = time.perf_counter()
        final_step, num_epochs = trainer.global_step, trainer.current_epoch
        last.write_end(trainer)
        score, share = choose(trainer, parts, best=best, last=last, pretrained=pretrained)
        record.metrics = {MONITOR: score}
        if share is not None:
            record.strategy["wise_ft"] = share
        tested_weights = load_checkpoint(best.best)
        record.best_epoch = min(int(tested_weights["epoch"]) + 1, num_epochs)
        if (penalties := parts.model.optim.penalties) is not None:
            record.strategy["penalty"] = penalties[record.best_epoch - 1]
        record.metrics |= _test(trainer, parts, tested_weights["state_dict"])
        record.curves, record.classes = curves.curves, _classes(parts)
    except Terminated:
        raise
    except MisconfigurationException as error:  # a limit that leaves no batch, for one
        raise UserError(f"trainer: {str(error).strip().splitlines()[0]}") from error
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop
    finally:
        record.freeze = _freeze_record(parts, guard, trainer.current_epoch)
    settled = cost.settle(
        tested_since=fitted, cache_s=record.cache.get("seconds", 0.0), per_hour=cost_settings(cfg).per_hour
    )
    record.cost = asdict(settled)
    if guard is not None and is_main():
        after, tested = (digests(body["state_dict"]) for body in (load_checkpoint(last.path), tested_weights))
        ran = parts.bound.until(num_epochs)
        proof = certificate(ran, before=guard.before, after=after, tested=tested, num_epochs=num_epochs)
        write_certificate(folder, {"run_id": record.run_id, "seed": record.seed, "model": record.model, **proof})
    if is_main():
        finals = {**record.metrics, **{f"cost/{k}": float(v) for k, v in record.cost.items() if v is not None}}
        log_finals(logger, hyperparameters(record, parts), finals, step=final_step)
        _log_figures(logger, parts, record, mistakes, step=final_step)
    logger.close()


def _callbacks(
    cfg: DictConfig,
    parts: Parts,
    record: RunRecord,
    measuring: list[L.Callback],
    *,
    folder: Path,
    guard: FreezeGuard | None,
    last: LastCheckpoint,
) -> list[L.Callback]:
    """In this order: what saves the epoch boundary, what changes the model, what watches, the user's, the guard."""
    own = [make(node, f"callbacks.{key}") for key, node in cfg.callbacks.items() if node is not None]
    refuse_unsafe(own, parts.bound)
    texts = {
        "model_status": status_markdown(parts.rows, parts.trainable_line),
        "freeze_plan": plan_markdown(parts.phase_rows()),
        "config": f"```yaml\n{OmegaConf.to_yaml(cfg)}\n```",
    }
    decay = parts.model.regularize.ema_decay
    return [
        last,
        FreezeCallback.bound_to(parts.bound),
        SeedEachStep(record.seed),
        *([AverageWeights(parts.bound, decay)] if decay else []),
        StopAtStep(parts.steps),
        EndBySigterm(),
        TensorBoardCallback(texts, {"depth_profile": folder / FIGURE_NAME}),  # there with scenario=auto
        *measuring,
        *progress_callbacks(parts.steps),
        *own,
        *([guard] if guard else []),
    ]


def _test(trainer: L.Trainer, parts: Parts, weights: dict[str, Tensor]) -> dict[str, float]:
    parts.model.load_state_dict(weights)
    (tested,) = trainer.test(parts.model, datamodule=parts.data, verbose=False)
    return {key: float(value) for key, value in tested.items()}


def _log_figures(
    logger: EventFileLogger, parts: Parts, record: RunRecord, mistakes: MistakesCallback, *, step: int
) -> None:
    figures = {"freeze_plan": plan_figure(*_planned(parts))}
    if "confusion" in record.classes:
        figures["test/confusion"] = confusion_figure(record.classes["confusion"], record.classes["names"])
    source, worst = parts.data.source, mistakes.worst()
    if worst and record.machine["processes"] == 1:  # each of several sees a part of the images
        test, names = parts.data.splits["test"], source.class_names
        titles = [f"{names[m.truth]}, not {names[m.predicted]} ({m.confidence:.0%})" for m in worst]
        figures["test/worst_mistakes"] = mistakes_figure([source.load(int(test[m.position])) for m in worst], titles)
    for tag, figure in figures.items():
        logger.experiment.add_figure(tag, figure, step)


def _planned(parts: Parts) -> tuple[list[list[bool]], list[str]]:
    """Per epoch and stage, the head last, whether it trains; and the stages' names."""
    plan, names = parts.bound.plan, [stage.name for stage in parts.model.backbone.stages]
    trained = [
        [*(index in parts.bound.training_stages(epoch) for index in range(len(names))), plan.phase(epoch).head]
        for epoch in range(parts.steps.epochs)
    ]
    return trained, [*names, "head"]


def _classes(parts: Parts) -> dict[str, Any]:
    """Names, and the confusion matrix of the test; of very many classes only the names."""
    names, counts = list(parts.data.source.class_names), parts.model.confusion.compute()
    return {"names": names, **({"confusion": counts.tolist()} if len(names) <= _MAX_CONFUSION else {})}


def _freeze_record(parts: Parts, guard: FreezeGuard | None, num_epochs: int) -> dict[str, object]:
    frozen = parts.bound.plan.num_stages - len(parts.bound.until(max(1, num_epochs)).ever_training())
    if guard is None:
        return {"verified": None, "checks": 0, "frozen_stages": frozen}
    return {
        "verified": guard.verified,
        "checks": guard.checks,
        "frozen_stages": frozen,
        "guard_s": round(guard.seconds, 4),
    }


def _trainer(cfg: DictConfig, parts: Parts, logger: EventFileLogger, callbacks: list[L.Callback]) -> L.Trainer:
    own: dict[str, Any] = {"strategy": "ddp" if cfg.trainer.devices > 1 else "auto", "use_distributed_sampler": False}
    if parts.model.optim.epochs is not None:  # an epoch is one step; each is logged
        own["log_every_n_steps"] = 1
    trainer: L.Trainer = make(
        cfg.trainer,
        "trainer",
        **own,
        max_epochs=parts.steps.epochs,
        max_steps=-1,
        limit_train_batches=parts.steps.batches,
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

"""Fit, choose the weights on validation, test them once, and write down what happened."""

import time
from dataclasses import asdict
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from thawline.callbacks.averaging import AverageWeights
from thawline.callbacks.checkpoint import MONITOR, BestCheckpoint, LastCheckpoint
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.freeze import FreezeCallback, refuse_unsafe
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.progress import StopAtStep, progress_callbacks
from thawline.callbacks.seeding import SeedEachStep
from thawline.callbacks.tensorboard import EventFileLogger, TensorBoardCallback, log_finals
from thawline.errors import UserError
from thawline.make import make
from thawline.models.checkpoint import load_checkpoint
from thawline.models.digests import digests
from thawline.models.regularize import interpolate
from thawline.parts import Parts, hyperparameters
from thawline.processes import is_main
from thawline.report.certificate import certificate, write_certificate
from thawline.report.run_record import RunRecord
from thawline.report.status_table import plan_markdown, status_markdown
from thawline.resume import Boundary
from thawline.termination import EndBySigterm, Terminated

_TUNED = "tuned_state_dict"  # in best.ckpt, beside the mixture with the pretrained weights that it holds


def fit_and_test(
    cfg: DictConfig, parts: Parts, record: RunRecord, *, folder: Path, start: float, boundary: Boundary | None
) -> None:
    """Train from `boundary`, or from the start; `record` learns metrics, cost and the state of the freeze.

    Args:
        start: Clock time, as `time.perf_counter` tells it, at which the run began.
    """
    guard = FreezeGuard(parts.bound) if cfg.strategy.guard else None
    best, last = BestCheckpoint(folder / "checkpoints"), LastCheckpoint(folder / "checkpoints")
    cost = CostCallback()
    logger = EventFileLogger(folder, first_step=boundary.step if boundary else None)
    callbacks = _callbacks(cfg, parts, record, [cost, best], guard=guard, last=last)
    trainer = _trainer(cfg, parts, logger, callbacks)
    mixing = parts.model.regularize.wise_ft_shares != [1.0]
    pretrained = {n: t.detach().clone() for n, t in parts.bound.tensors().items()} if mixing else {}
    try:
        trainer.fit(
            parts.model, datamodule=parts.data, ckpt_path=boundary.checkpoint if boundary else None, weights_only=True
        )
        final_step, num_epochs = trainer.global_step, trainer.current_epoch
        last.write_end(trainer)
        _choose(trainer, parts, best=best, last=last, pretrained=pretrained, record=record)
        record.metrics |= _test(trainer, parts, best.best)
    except Terminated:
        raise
    except MisconfigurationException as error:  # a limit that leaves no batch, for one
        raise UserError(f"trainer: {str(error).strip().splitlines()[0]}") from error
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop
    finally:
        record.freeze = _freeze_record(parts, guard, trainer.current_epoch)
    cost.cost.wall_s = cost.fit_before_s + time.perf_counter() - start
    record.cost = asdict(cost.cost)
    if guard is not None and is_main():
        after = digests(load_checkpoint(last.path)["state_dict"])
        ran = parts.bound.until(num_epochs)
        proof = certificate(ran, before=guard.before, after=after, num_epochs=num_epochs)
        write_certificate(folder, {"run_id": record.run_id, "seed": record.seed, "model": record.model, **proof})
    if is_main():
        finals = {**record.metrics, **{f"cost/{k}": float(v) for k, v in record.cost.items()}}
        log_finals(logger, hyperparameters(record, parts), finals, step=final_step)
    logger.close()


def _callbacks(
    cfg: DictConfig,
    parts: Parts,
    record: RunRecord,
    measuring: list[L.Callback],
    *,
    guard: FreezeGuard | None,
    last: LastCheckpoint,
) -> list[L.Callback]:
    """In this order: what saves the epoch boundary, what changes the model, what watches, the user's, the guard."""
    own = [make(node, f"callbacks.{key}") for key, node in cfg.callbacks.items() if node is not None]
    refuse_unsafe(own, parts.bound)
    texts = {
        "model_status": status_markdown(parts.rows, parts.trainable_line()),
        "freeze_plan": plan_markdown(parts.phase_rows()),
        "config": f"```yaml\n{OmegaConf.to_yaml(cfg)}\n```",
    }
    decay = parts.model.regularize.ema_decay
    return [
        last,
        FreezeCallback(parts.bound),
        SeedEachStep(record.seed),
        *([AverageWeights(parts.bound, decay)] if decay else []),
        StopAtStep(parts.steps),
        EndBySigterm(),
        TensorBoardCallback(texts),
        *measuring,
        *progress_callbacks(parts.steps),
        *own,
        *([guard] if guard else []),
    ]


def _choose(
    trainer: L.Trainer,
    parts: Parts,
    *,
    best: BestCheckpoint,
    last: LastCheckpoint,
    pretrained: dict[str, Tensor],
    record: RunRecord,
) -> None:
    """Settle on validation data which weights are tested: an epoch's, and where asked for how far from pretrained."""
    if best.validated_step < trainer.global_step:
        parts.model.load_state_dict(load_checkpoint(last.path)["state_dict"])
        score = _validate(trainer, parts)
        if is_main():
            best.consider(last.path, score)
    trainer.strategy.barrier()
    assert best.best_model_score is not None or not is_main()
    score = float(best.best_model_score) if best.best_model_score is not None else 0.0
    shares = parts.model.regularize.wise_ft_shares
    if pretrained:
        share, score = _interpolate_best(trainer, parts, best=best, pretrained=pretrained, shares=shares)
        record.strategy["wise_ft"] = share
    record.metrics = {MONITOR: score}


def _interpolate_best(
    trainer: L.Trainer, parts: Parts, *, best: BestCheckpoint, pretrained: dict[str, Tensor], shares: list[float]
) -> tuple[float, float]:
    """Replace the best checkpoint's weights by the interpolation that validates best; (its share, its accuracy)."""
    body = load_checkpoint(best.best)
    tuned = body.get(_TUNED, body["state_dict"])  # a resumed run may have got this far before
    backbone = {name: tensor for name, tensor in pretrained.items() if name.startswith("backbone.") and name in tuned}
    scores = {}
    for share in shares:
        parts.model.load_state_dict(tuned | interpolate(backbone, tuned, share=share))
        scores[share] = _validate(trainer, parts)
    share = max(shares, key=lambda s: (scores[s], s))  # of equals the one nearest to what was trained
    body |= {"state_dict": tuned | interpolate(backbone, tuned, share=share), _TUNED: tuned}
    if is_main():
        part = best.best.with_suffix(".wise")
        torch.save(body, part)
        best.replace_best(part, scores[share])
        part.unlink()
    trainer.strategy.barrier()
    return share, scores[share]


def _validate(trainer: L.Trainer, parts: Parts) -> float:
    (scores,) = trainer.validate(parts.model, datamodule=parts.data, verbose=False)
    return float(scores[MONITOR])


def _test(trainer: L.Trainer, parts: Parts, checkpoint: Path) -> dict[str, float]:
    parts.model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    (tested,) = trainer.test(parts.model, datamodule=parts.data, verbose=False)
    return {key: float(value) for key, value in tested.items()}


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
    own = {"strategy": "ddp" if cfg.trainer.devices > 1 else "auto", "use_distributed_sampler": False}
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

"""Stop a training that went wrong at the step where its loss shows it."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from thawline.callbacks.best_and_last import BestCheckpoint
from thawline.callbacks.freeze import classifier
from thawline.errors import UserError
from thawline.settings.select_setting import VAL_LOSS

# Chosen: cross-entropy of guessing is log K; the logits of a training that goes well never lie a thousand times as far
# apart, and those of a diverging one go on to infinity.
_EXPLODED = 1000.0  # times the loss of guessing


class Diverged(UserError):
    """The loss is not finite, or far beyond that of guessing."""


def loss_problem(loss: float, *, num_classes: int) -> str | None:
    """What is wrong with a cross-entropy; None where nothing is.

    >>> loss_problem(math.nan, num_classes=2), loss_problem(5.0, num_classes=2)
    ('is nan', None)
    >>> loss_problem(1e6, num_classes=2)
    'is 1e+06, and guessing gives 0.69'
    """
    if not math.isfinite(loss):
        return f"is {loss}"
    guessing = math.log(max(2, num_classes))
    return f"is {loss:.3g}, and guessing gives {guessing:.2g}" if loss > _EXPLODED * guessing else None


class StopDiverged(L.Callback):
    """Ends the fit with `Diverged` before the optimizer takes a step with a loss that is not finite or has exploded.

    On an accelerator, reading every loss would make the host wait in every step. There the losses are read where the
    trainer logs; the step that is told is the one that went wrong all the same.

    Args:
        best: Says whether there are best weights to go back to.
    """

    def __init__(self, best: BestCheckpoint) -> None:
        self.best = best
        self._unread: list[tuple[int, int, Tensor]] = []  # epoch and step, from 1; loss

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._first_step = trainer.global_step + 1
        self._unread = []

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        whole = loss.detach() * trainer.accumulate_grad_batches / _scale(trainer, loss)
        self._unread.append((trainer.current_epoch + 1, trainer.global_step + 1, whole))
        often = 1 if loss.device.type == "cpu" else trainer.log_every_n_steps  # type: ignore[attr-defined]
        if len(self._unread) >= often:
            self._read(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            loss = float(trainer.callback_metrics[VAL_LOSS])
            if not math.isfinite(loss):
                self._stop(pl_module, trainer.current_epoch + 1, trainer.global_step, f"{VAL_LOSS} is {loss}")

    def _read(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        unread, self._unread = self._unread, []
        if not unread:
            return
        num_classes = int(classifier(pl_module).train_accuracy.num_classes)  # type: ignore[arg-type]
        losses: list[Any] = torch.stack([loss for _, _, loss in unread]).tolist()
        problems = (loss_problem(loss, num_classes=num_classes) for loss in losses)
        problem = next(((at, reason) for at, reason in zip(unread, problems, strict=True) if reason), None)
        # Processes see other images: where one stops, all do, so that none waits for it.
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(problem is not None, all=False):
            problem = problem or (unread[-1], "went wrong in another process")
        if problem:
            (epoch, step, _), reason = problem
            self._stop(pl_module, epoch, step, f"train/loss {reason}")

    def _stop(self, pl_module: L.LightningModule, epoch: int, step: int, reason: str) -> None:
        where = f"training went wrong at step {step}, in epoch {epoch}: {reason}"
        if step == 1 and self._first_step == 1:
            raise Diverged(
                f"{where}. Nothing was learned before that step, so it is not the learning rate: look at the images "
                "and model.weights, or try trainer.precision=32-true"
            )
        name, rate = max(classifier(pl_module).group_learning_rates(), key=lambda one: one[1], default=("", 0.0))
        kept = f"; the best weights so far stay in {self.best.best}" if self.best.best.is_file() else ""
        raise Diverged(
            f"{where}, at a learning rate of {rate:.3g} ({name}). Try a tenth of optim.lr and optim.backbone_lr, "
            f"or trainer.gradient_clip_val=1{kept}"
        )


def _scale(trainer: L.Trainer, loss: Tensor) -> Tensor | float:
    """What Lightning multiplied the loss by, (): in fp16 its scaler does; read without waiting for a GPU."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else scaler.scale(torch.ones_like(loss.detach()))

"""A running average of the weights that train. Frozen weights are not averaged, so they stay bitwise the same."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from thawline.freezing.bound_plan import BoundPlan

_RAW = "raw_weights"  # key in a checkpoint whose state_dict holds the average
_COUNT = "num_averaged"


def average_decay(decay: float, num_updates: int) -> float:
    """`decay`, less in the first updates: otherwise the average would long stay near the initial weights.

    Source: the warm-up min(decay, (1 + n) / (10 + n)) of TensorFlow's ExponentialMovingAverage.
    """
    return min(decay, (1 + num_updates) / (10 + num_updates))


@torch.no_grad()
def update_average(average: dict[str, Tensor], current: dict[str, Tensor], *, decay: float) -> None:
    """`decay * average + (1 - decay) * current`, in place; integers (counters of batches) are copied.

    On a GPU a few kernels do that for all tensors together.
    """
    means = [name for name, mean in average.items() if mean.is_floating_point()]
    if means:
        torch._foreach_lerp_([average[name] for name in means], [current[name] for name in means], 1.0 - decay)
    for name in average.keys() - set(means):
        average[name].copy_(current[name])


class AverageWeights(L.Callback):
    """Validates, saves and tests an exponential moving average of the weights (Polyak and Juditsky 1992).

    Args:
        decay: Share of the old average in the new one, at every optimizer step.
    """

    def __init__(self, bound: BoundPlan, decay: float) -> None:
        self.bound = bound
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.num_updates = 0
        self._raw: dict[str, Tensor] = {}
        self._step = 0

    def moving(self) -> dict[str, Tensor]:
        """Tensors that change while training: all but those that every phase freezes."""
        never = self.bound.never_training()
        return {name: tensor for name, tensor in self.bound.tensors().items() if name not in never}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._moving = self.moving()
        self._step = trainer.global_step
        start = self.average or self._moving  # a resumed run has an average, which may lie on another device
        self.average = {n: start[n].detach().clone().to(tensor.device) for n, tensor in self._moving.items()}

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self._step:  # gradients are still being accumulated
            return
        self._step = trainer.global_step
        update_average(self.average, self._moving, decay=average_decay(self.decay, self.num_updates))
        self.num_updates += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:  # after the fit the weights come from a checkpoint
            return
        moving = self.moving()
        self._raw = {name: tensor.detach().clone() for name, tensor in moving.items()}
        _copy_into(moving, self.average)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._raw:
            _copy_into(self.moving(), self._raw)
            self._raw = {}

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """The checkpoint's state dict holds the average. A resumed run goes on with the raw weights beside it."""
        if self.average:
            state = checkpoint["state_dict"]
            checkpoint[_RAW] = {name: state[name] for name in self.average if name in state}
            checkpoint[_COUNT] = self.num_updates
            checkpoint["state_dict"] = {name: self.average.get(name, tensor) for name, tensor in state.items()}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if _RAW in checkpoint:
            raw, moving = checkpoint[_RAW], self.moving()
            self.average = {name: tensor.detach().clone() for name, tensor in moving.items()}
            self.num_updates = checkpoint[_COUNT]
            _copy_into({name: moving[name] for name in raw}, raw)


@torch.no_grad()
def _copy_into(target: dict[str, Tensor], source: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])

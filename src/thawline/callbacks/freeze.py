"""Apply the freeze plan at fit start and at every epoch start, and tell when it changes."""

import logging

import lightning as L
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from thawline.errors import UserError
from thawline.freezing.bound_plan import OUTSIDE, BoundPlan
from thawline.freezing.status import trainable_line
from thawline.training.classifier import TransferClassifier

_log = logging.getLogger(__name__)


class FreezeCallback(L.Callback):
    """Applies the plan. What trains is a function of the epoch, so a resumed run needs no state from here."""

    def __init__(self, bound: BoundPlan) -> None:
        self.bound = bound
        self._wrapped: set[str] = set()
        self._total = sum(p.numel() for p in (*bound.backbone.parameters(), *bound.head.parameters()))

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bound.apply(0)  # what trains in a resumed run's epoch is known only when its epoch starts
        self._wrapped = set(self.bound.trainable(0))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch
        self.bound.apply(epoch)
        if (names := set(self.bound.trainable(epoch))) != self._wrapped:
            wrap_for_gradients(trainer)
            self._wrapped = names
        count = sum(p.numel() for p in self.bound.trainable(epoch).values())
        stages = self.bound.training_stages(epoch)
        if epoch in self.bound.plan.changes:
            parts = ", ".join(self.bound.plan.stage_list(self.bound.plan.phase(epoch)))
            _log.info("Epoch %d: %s train. %s", epoch + 1, parts, trainable_line(count, self._total))
        pl_module.log("freeze/trainable_params", float(count), sync_dist=True)
        pl_module.log("freeze/unfreeze_depth", float(len(stages)), sync_dist=True)


def wrap_for_gradients(trainer: L.Trainer) -> None:
    """Give several processes a gradient reducer for exactly the parameters that train in this epoch.

    DistributedDataParallel decides when it is made which gradients it waits for; one that saw another set would hang,
    or leave the processes with different weights.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy) and isinstance(strategy.model, DistributedDataParallel):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()


def refuse_unsafe(callbacks: list[L.Callback], bound: BoundPlan) -> None:
    """Refuse callbacks that change frozen stages behind the plan's back.

    Raises:
        UserError: Something that is frozen in some epoch together with StochasticWeightAveraging, which resets the
            statistics of every BatchNorm, or with Lightning's WeightAveraging, which averages frozen weights too.
    """
    owners = bound.stage_of()
    frozen = {owners[name] for phase in bound.plan.phases for name in bound.frozen_tensors(phase.from_epoch)}
    number = len(frozen - {OUTSIDE})
    for callback in callbacks:
        if number and isinstance(callback, (StochasticWeightAveraging, WeightAveraging)):
            raise UserError(
                f"callbacks: {type(callback).__name__} changes frozen weights or BatchNorm statistics, of {number} "
                "stages in some epoch; use regularize.ema_decay=0.99, which leaves them alone, or remove it"
            )


def classifier(module: L.LightningModule) -> TransferClassifier:
    """The module, known to be ours."""
    assert isinstance(module, TransferClassifier), type(module)
    return module

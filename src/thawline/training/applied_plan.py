"""A freeze plan in a fit: applied before it and at the start of every epoch."""

import lightning as L
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from thawline.freezing.bound_plan import BoundPlan


class AppliedPlan:
    """What trains is a function of the epoch, so a resumed fit needs no state from here."""

    def __init__(self, bound: BoundPlan) -> None:
        self.bound = bound
        self._wrapped: set[str] = set()  # parameters whose gradients several processes average

    def begin_fit(self) -> None:
        """After the model was wrapped for several processes, and before its first epoch."""
        self._wrapped = {name for name, tensor in self.bound.tensors().items() if tensor.requires_grad}
        self.bound.apply(0)  # what trains in a resumed run's epoch is known only when its epoch starts

    def begin_epoch(self, trainer: L.Trainer, epoch: int) -> None:
        self.bound.apply(epoch)
        if (names := set(self.bound.trainable(epoch))) != self._wrapped:
            wrap_for_gradients(trainer)
            self._wrapped = names


def wrap_for_gradients(trainer: L.Trainer) -> None:
    """Give several processes a gradient reducer for exactly the parameters that train in this epoch.

    DistributedDataParallel decides when it is made which gradients it waits for; one that saw another set would hang,
    or leave the processes with different weights.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy) and isinstance(strategy.model, DistributedDataParallel):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()

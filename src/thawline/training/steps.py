"""How many optimizer steps a run takes, and when it validates; known before it starts."""

import math
from dataclasses import dataclass

from thawline.settings.trainer_settings import TrainerSettings


@dataclass(frozen=True)
class Steps:
    """Counts of one run.

    Attributes:
        batches: Training batches in one epoch.
        per_epoch: Optimizer steps in one epoch.
        total: Optimizer steps of the run.
        epochs: Epochs of the run; of the last one perhaps only the beginning.
        validate_every: Lightning's `val_check_interval`: training batches between validations, or 1.0 for an epoch.
    """

    batches: int
    per_epoch: int
    total: int
    epochs: int
    validate_every: int | float


def plan_steps(num_batches: int, trainer: TrainerSettings) -> Steps:
    """Work out the steps from the number of batches that the data has and from the trainer's settings.

    Validation comes at least once in every epoch and before the bound: without one there is no best checkpoint.
    """
    batches = _limited(num_batches, trainer.limit_train_batches)
    per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    total = trainer.max_epochs * per_epoch if trainer.max_epochs > 0 else trainer.max_steps
    bound = trainer.max_steps if trainer.max_steps > 0 else total
    wanted = _limited(batches, trainer.val_check_interval)
    interval = min(wanted, batches, bound * trainer.accumulate_grad_batches)
    steps = min(total, bound)
    return Steps(batches, per_epoch, steps, math.ceil(steps / per_epoch), 1.0 if interval == batches else interval)


def _limited(number: int, limit: int | float) -> int:
    """Lightning's convention: a float is a share of `number`, an int an amount."""
    return max(1, int(number * limit)) if isinstance(limit, float) else min(number, limit)

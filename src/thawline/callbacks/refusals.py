"""Refuse callbacks, sharding and optimizers with which a freeze plan would not work."""

import lightning as L
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging

from thawline.errors import UserError
from thawline.freezing.bound_plan import OUTSIDE, BoundPlan


def refuse_lacking(trainer: L.Trainer, bound: BoundPlan) -> None:
    """Raise `UserError` if the optimizers lack a parameter that trains in some epoch: it would never change."""
    held = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    owners, lacking = bound.stage_of(), dict[str, None]()
    for name, parameter in bound.ever_trainable().items():
        if id(parameter) not in held:
            lacking[owners[name]] = None
    if lacking:
        epochs = reversed((0, *bound.plan.changes))
        first = {owners[name]: epoch for epoch in epochs for name in bound.trainable(epoch)}
        parts = ", ".join(f"{name} (from epoch {first[name] + 1})" for name in lacking)
        raise UserError(
            f"FreezeCallback: no optimizer holds all parameters of {parts}, so they would never train; in "
            "configure_optimizers give it self.parameters()"
        )


def refuse_sharding(trainer: L.Trainer) -> None:
    """Raise `UserError` for strategies that shard parameters: FSDP, DeepSpeed, tensor parallelism."""
    name = type(trainer.strategy).__name__
    if any(part in name for part in ("FSDP", "DeepSpeed", "ModelParallel")):
        raise UserError(f"{name} shards frozen and training parameters alike; use Trainer(strategy='ddp')")


def refuse_unsafe(
    callbacks: list[L.Callback],
    bound: BoundPlan,
    *,
    way_out: str = "use regularize.ema_decay=0.99, which leaves them alone, or remove it",
) -> None:
    """Raise `UserError` for callbacks that change frozen stages, if the plan freezes any.

    StochasticWeightAveraging resets the statistics of every BatchNorm; Lightning's WeightAveraging averages frozen
    weights too.
    """
    owners = bound.stage_of()
    frozen = {owners[name] for phase in bound.plan.phases for name in bound.frozen_tensors(phase.from_epoch)}
    number = len(frozen - {OUTSIDE})
    for callback in callbacks:
        if number and isinstance(callback, (StochasticWeightAveraging, WeightAveraging)):
            raise UserError(
                f"callbacks: {type(callback).__name__} changes frozen weights or BatchNorm statistics, of {number} "
                f"stages in some epoch; {way_out}"
            )

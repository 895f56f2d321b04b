"""What a TransferClassifier works out by itself: the plan, the optimizer's settings, the steps of a fit."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lightning as L
from lightning.fabric.utilities.data import sized_len
from torch import nn
from torch.utils.data import DistributedSampler

from thawline.errors import UserError
from thawline.freezing.bind_inside import in_python
from thawline.freezing.bound_plan import BoundPlan, bind, refuse_without_adapters
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import SOLVERS, OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.settings.trainer_settings import TrainerSettings
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps, plan_steps

DEPTH = 2  # final stages; conf/strategy/partial_fine_tune.yaml
# AdamW's rates of the head and of the backbone: conf/strategy/{feature_extraction,partial_fine_tune,fine_tune}.yaml.
_HEAD_ALONE = {"lr": 3e-3}
_SOME_STAGES = {"lr": 1e-3, "backbone_lr": 3e-4}
_EVERY_STAGE = {"lr": 1e-3, "backbone_lr": 3e-5}
_PLAN = ("stages", "thaw_after", "thaw_every", "phases", "parameters", "batchnorm")
_MODEL = ("weights", "image_size")


def new_plan(
    backbone: BoundPlan | Backbone | nn.Module | str,
    *,
    num_classes: int,
    head: nn.Module | None,
    unfreeze_depth: int | str | None,
    **more: Any,
) -> BoundPlan:
    """The plan for a backbone with a new head, applied for epoch 0; a `BoundPlan` is returned as it is.

    Args:
        more: What else `FreezeCallback` takes, and with the name of a model what `Backbone` does.
    Raises:
        UserError: An argument that does not exist, has no effect, or that the backbone cannot follow.
    """
    with in_python("TransferClassifier"):
        if isinstance(backbone, BoundPlan):
            idle = [*more, *(["head"] if head else []), *(["unfreeze_depth"] if unfreeze_depth is not None else [])]
            if idle:
                raise UserError(f"{idle[0]}: has no effect beside a plan that is bound to a model")
            return backbone
        if unknown := [key for key in more if key not in (*_PLAN, *_MODEL)]:
            raise UserError(f"{unknown[0]}: no such argument; allowed are {', '.join((*_PLAN, *_MODEL))}")
        of_model = {key: more[key] for key in _MODEL if key in more}
        if isinstance(backbone, Backbone) and of_model:
            raise UserError(f"{next(iter(of_model))}: has no effect beside a Backbone; give it to that")
        strategy = StrategySettings("classifier", **{key: more[key] for key in _PLAN if key in more})
        listed = strategy.stages is not None or strategy.phases is not None
        strategy = replace(strategy, unfreeze_depth=DEPTH if unfreeze_depth is None and not listed else unfreeze_depth)
        body = backbone if isinstance(backbone, Backbone) else Backbone(backbone, **of_model)
        bound = bind(strategy, body, head or LinearHead(body.num_features, num_classes))
        refuse_without_adapters(bound)
    bound.apply(0)
    return bound


def resolved_optim(optim: OptimSettings | Mapping[str, Any] | None, bound: BoundPlan) -> OptimSettings:
    """Settings as they are; of a mapping or None the rest is AdamW, with rates by how much of the backbone trains.

    Raises:
        UserError: A setting that does not exist, or one that only a run can follow.
    """
    if isinstance(optim, OptimSettings):
        return optim
    given = dict(optim or {})
    if unknown := [key for key in given if key not in OptimSettings.__dataclass_fields__]:
        known = ", ".join(OptimSettings.__dataclass_fields__)
        raise UserError(f"TransferClassifier: optim.{unknown[0]}: no such setting; allowed are {known}")
    if (name := given.get("name")) in SOLVERS:
        raise UserError(
            f"TransferClassifier: optim.name={name}: works in a run only; use thawline.train(['optim={name}'])"
        )
    if given.get("name", "adamw") != "adamw" and "lr" not in given:
        raise UserError(f"TransferClassifier: optim.name={given['name']}: give optim an lr; the default is AdamW's")
    ever = len(bound.ever_training())
    rates = _SOME_STAGES if 0 < ever < bound.plan.num_stages else _EVERY_STAGE if ever else _HEAD_ALONE
    return OptimSettings(**(given if "lr" in given else {**rates, **given}))


def steps_of(trainer: L.Trainer) -> Steps:
    """Optimizer steps of the fit that is about to start, without making its loaders: those of a resumed fit have a
    state that is read later.

    Raises:
        UserError: The training loader has no length, or the trainer no end.
    """
    batches, limit = _num_batches(trainer), trainer.limit_train_batches
    if trainer.max_epochs in (None, -1) and trainer.max_steps == -1:
        raise UserError("TransferClassifier: the schedule needs an end; give Trainer(max_epochs=N) or max_steps=N")
    if batches is None:
        if not isinstance(limit, int):
            raise UserError(
                "TransferClassifier: the training loader has no length; give Trainer(limit_train_batches=N)"
            )
        batches = limit
    settings = TrainerSettings(
        max_epochs=-1 if trainer.max_epochs is None else trainer.max_epochs,
        max_steps=trainer.max_steps,
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        limit_train_batches=1.0 if limit is None else limit,
    )
    return plan_steps(batches, settings)


def _num_batches(trainer: L.Trainer) -> int | None:
    """Training batches of one process in one epoch; with Lightning's sharing of the images up to one less."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    if isinstance(data, ImageDataModule):
        return data.num_train_batches
    loader = trainer.fit_loop._data_source.dataloader()  # of what was given to `fit`
    length = sized_len(loader)
    shared = isinstance(getattr(loader, "sampler", None), DistributedSampler)
    return length if length is None or shared else math.ceil(length / trainer.world_size)

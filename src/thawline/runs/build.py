"""Settings -> data, model and freeze plan, as they are at some optimizer step."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from thawline.data.sources.source import training_weights
from thawline.features.readout import Readout, make_readout, with_class_token
from thawline.features.stack import probe_taps
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import FreezePlan, make_plan
from thawline.freezing.status import status
from thawline.machine.compute import Compute
from thawline.machine.decisions import compiles_training, memory_format
from thawline.machine.memory import keep_freed_memory
from thawline.machine.processes import this_process
from thawline.models.adapters import add_adapters
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse_where_faster
from thawline.models.stacked_head import StackedHead
from thawline.runs.make import make
from thawline.runs.parts import Parts
from thawline.runs.shared import Shared
from thawline.settings.conflicts import refuse_conflicts
from thawline.settings.imbalance_setting import NONE, SAMPLER
from thawline.settings.run_settings import Settings
from thawline.training.batch_of_one import refuse_one_value_per_channel
from thawline.training.beside import StackBeside, pretrained_copy
from thawline.training.class_loss import ClassLoss
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.in_parts import StepInParts, batchnorm_caveat
from thawline.training.steps import Steps, plan_steps


def build(settings: Settings, compute: Compute, *, step: int, shared: Shared | None = None) -> Parts:
    """Load model and data.

    Args:
        step: Optimizer step at which the training begins; above 0 in a resumed run.
        shared: Of the runs that share images and backbones.
    Raises:
        UserError: Settings that do not go with each other, with the data or with the backbone.
    """
    refuse_conflicts(settings)
    if compute.on_cpu:
        keep_freed_memory()
    shared = shared or Shared(keeps=False)
    backbone = shared.backbone(settings.model, weights=settings.weights, seed=settings.seed)
    backbone.to(memory_format=memory_format(compute.device.type))
    names = [stage.name for stage in backbone.stages]
    plan = make_plan(settings.strategy, stage_names=names, model_name=backbone.name)
    epochs = settings.optim.epochs or settings.trainer.max_epochs
    reached = plan.until(epochs) if epochs > 0 else plan
    if settings.strategy.lora is not None:
        add_adapters(backbone, reached.ever_training(), settings.strategy.lora)
    settings = settings.with_views(all_train=0 in reached.ever_training())
    data = _data(settings, compute, backbone, shared)
    readout = make_readout(settings.strategy, backbone)
    head = _head(settings, backbone, readout, num_classes=data.num_classes)
    steps = plan_steps(data.num_train_batches, replace(settings.trainer, max_epochs=epochs))
    model = _model(settings, compute, _bound(plan, steps, backbone, head), data=data, readout=readout, steps=steps)
    width = readout.num_features if readout else backbone.num_features
    refuse_one_value_per_channel(model.bound, batch_size=data.batch_size, num_features=width)
    epoch = min(step // steps.per_epoch, steps.epochs - 1)
    model.bound.apply(epoch)
    rows = status(backbone, head)
    return Parts(settings, compute, data, model, plan, rows, epoch, steps, _beside(settings, compute, model, data))


def _data(settings: Settings, compute: Compute, backbone: Backbone, shared: Shared) -> ImageDataModule:
    return ImageDataModule(
        shared.source(settings.source),
        spec=backbone.input,
        loader=settings.loader,
        seed=settings.seed,
        kind=compute.device.type,
        rank=this_process(devices=settings.trainer.devices).rank,
        world_size=settings.trainer.num_processes,
        here=settings.trainer.devices,
        one_batch=settings.optim.solves,
        balanced=settings.imbalance == SAMPLER,
        cache=settings.cache,
    )


def _head(settings: Settings, backbone: Backbone, readout: Readout | None, *, num_classes: int) -> nn.Module:
    if settings.optim.name == "ridge":
        assert readout is not None, "refused before"
        return StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], num_classes)
    num_features = readout.num_features if readout else backbone.num_features
    head: nn.Module = make(settings.model.head, "model.head", num_features=num_features, num_classes=num_classes)
    return head


def _beside(
    settings: Settings, compute: Compute, model: TransferClassifier, data: ImageDataModule
) -> StackBeside | None:
    """The stack of the stages as they are now, which is before training."""
    share, backbone = settings.strategy.stack_share, model.backbone
    if not share:
        return None
    pretrained = pretrained_copy(backbone, shared=model.bound.first_training)
    grids = with_class_token(pretrained, settings.strategy.feature_grids)
    readout = Readout.of(pretrained, stages=range(backbone.num_stages), grids=grids)
    dtype = compute.precision.prefix
    fused = fuse_where_faster(pretrained, pretrained.num_stages, dtype=dtype, device=compute.device)
    head = StackedHead([readout.columns(taps) for taps in probe_taps(readout.taps)], data.num_classes)
    return StackBeside(pretrained, readout=readout, head=head, share=share, dtype=dtype, fused=fused)


def _bound(plan: FreezePlan, steps: Steps, backbone: Backbone, head: nn.Module) -> BoundPlan:
    """The phases that the run reaches."""
    return BoundPlan(plan.until(steps.epochs), backbone, head)


def _model(
    settings: Settings,
    compute: Compute,
    bound: BoundPlan,
    *,
    data: ImageDataModule,
    readout: Readout | None,
    steps: Steps,
) -> TransferClassifier:
    backbone, dtype = bound.backbone, compute.precision.prefix
    fused = fuse_where_faster(backbone, bound.first_training, dtype=dtype, device=compute.device)
    model = TransferClassifier(
        bound,
        num_classes=data.num_classes,
        optim=settings.optim,
        steps=steps,
        regularize=settings.regularize,
        prefix=FrozenPrefix(backbone, dtype=dtype, fused=fused),
        readout=readout,
        loss=_loss(settings, data),
        compiled=compiles_training(settings.compile, compute.described, num_images=steps.total * data.batch_size),
    )
    if settings.halves_steps:
        parameters = list(bound.ever_trainable().values())
        model.in_parts = StepInParts(parameters, caveat=lambda: batchnorm_caveat(model))
    return model


def _loss(settings: Settings, data: ImageDataModule) -> nn.Module | None:
    """The training loss of `imbalance`; None where it is the cross-entropy."""
    if settings.imbalance in (NONE, SAMPLER):
        return None
    train = data.splits["train"]
    weights = training_weights(data.source, train)
    counts = np.bincount(data.source.labels[train], weights, minlength=data.num_classes)
    return ClassLoss(settings.imbalance, torch.from_numpy(counts), label_smoothing=settings.regularize.label_smoothing)

"""What a run's record and its hyperparameters say of its parts."""

from dataclasses import asdict

from thawline.features.readout import Readout
from thawline.machine.cpu_quota import quota_cores
from thawline.machine.processes import num_cores
from thawline.models.adapted_names import without_adapters
from thawline.models.digests import checksum
from thawline.models.pooling import CLASS_TOKEN
from thawline.report.record_sections import (
    DataSection,
    MachineSection,
    ModelSection,
    ParamsSection,
    StrategySection,
)
from thawline.report.run_record import RunRecord
from thawline.runs.inspection_note import inspection_of
from thawline.runs.parts import Parts


def describe(record: RunRecord, parts: Parts) -> None:
    """Fill the sections that are known before training."""
    record.data = _data(parts)
    record.inspection = inspection_of(parts.data.source, state=record.data.fingerprint)
    record.model = _model(parts)
    record.strategy = _strategy(parts)
    ever = sum(p.numel() for p in parts.bound.ever_trainable().values())
    record.params = ParamsSection(trainable=ever, total=parts.num_params)
    record.machine = _machine(parts)


def _data(parts: Parts) -> DataSection:
    source, splits = parts.data.source, parts.data.splits
    return DataSection(
        name=source.name,
        num_train=len(splits["train"]),
        num_val=len(splits["val"]),
        num_test=len(splits["test"]),
        num_classes=parts.data.num_classes,
        fingerprint=source.fingerprint(),
        value_range=list(value_range) if (value_range := getattr(source, "value_range", None)) else None,
        decoded_side=parts.data.decoded_side,
        exclude=asdict(excluded) if (excluded := getattr(source, "excluded", None)) else None,
    )


def _model(parts: Parts) -> ModelSection:
    backbone = parts.model.backbone
    return ModelSection(
        name=backbone.name,
        weights=parts.settings.weights,
        weights_sha256=checksum(without_adapters(backbone.model.state_dict())),
        head=type(parts.model.head).__name__.removesuffix("Head").lower(),
        num_stages=backbone.num_stages,
        image_size=backbone.input.size,
    )


def _strategy(parts: Parts) -> StrategySection:
    plan, strategy, readout = parts.bound.plan, parts.settings.strategy, parts.model.readout
    stages = parts.model.backbone.stages
    return StrategySection(
        name=strategy.name,
        unfreeze_depth=strategy.unfreeze_depth,
        phases=plan.as_list(),
        planned_phases=len(parts.planned.phases),
        parameters=plan.parameters,
        batchnorm=plan.batchnorm,
        feature_stages=[stages[index].name for index in readout.stages] if readout else None,
        feature_grid=_grid(readout) if readout else None,
    )


def _grid(readout: Readout) -> int | list[int]:
    """As it is written in a config."""
    grids = [grid for grid in readout.grids if grid != CLASS_TOKEN]
    return grids[0] if len(grids) == 1 else grids


def _machine(parts: Parts) -> MachineSection:
    precision = parts.compute.precision
    return MachineSection(
        device=parts.compute.described.name,
        accelerator=parts.compute.described.kind,
        cores=num_cores(),
        processes=parts.settings.trainer.num_processes,
        precision=precision.trainer,
        prefix_precision=str(precision.prefix).removeprefix("torch."),
        tf32=parts.compute.tf32,
        quota=quota_cores(),
    )


def hyperparameters(record: RunRecord, parts: Parts) -> dict[str, str | float | bool]:
    """The same keys with the same types in every run; the depth is a number also where the config says `all`."""
    optim, regularize = parts.settings.optim, parts.settings.regularize
    return {
        "scenario": record.scenario,
        "strategy": record.strategy.name,
        "unfreeze_depth": float(len(parts.bound.ever_training())),
        "feature_stages": float(len(parts.model.readout.stages) if parts.model.readout else 1),
        "data": record.data.name,
        "model": record.model.name,
        "weights": record.model.weights,
        "head": record.model.head,
        "optim": optim.name,
        "imbalance": parts.settings.imbalance,
        "selected": parts.settings.selected,
        "penalty": float(record.strategy.penalty or 0.0),
        "lr": float(optim.lr),
        "backbone_lr": float(optim.resolved_backbone_lr),
        "schedule": "none" if optim.solves else optim.schedule,
        "batch_size": float(parts.data.batch_size),
        "l2_sp": float(regularize.l2_sp),
        "ema_decay": float(regularize.ema_decay),
        "cache_views": float(record.cache.views),
        "seed": float(record.seed),
    }

"""What a run is made of, and what its record and its hyperparameters say of it."""

from dataclasses import dataclass

from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import FreezePlan
from thawline.freezing.status import StageStatus, counted_line
from thawline.machine.precision import Precision
from thawline.models.digests import checksum
from thawline.report.run_record import RunRecord
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps


@dataclass
class Parts:
    """The data, the model with what of the freeze plan this run reaches, its status before training, and more.

    Attributes:
        planned: The whole freeze plan.
        epoch: The first that is trained: 0, or where a resumed run goes on.
    """

    data: ImageDataModule
    model: TransferClassifier
    planned: FreezePlan
    rows: list[StageStatus]
    epoch: int
    steps: Steps
    precision: Precision

    @property
    def bound(self) -> BoundPlan:
        return self.model.bound

    @property
    def num_params(self) -> int:
        return sum(row.num_params for row in self.rows)

    def num_trainable(self, epoch: int) -> int:
        return sum(p.numel() for p in self.bound.trainable(epoch).values())

    @property
    def trainable_line(self) -> str:
        """The diagnostic line for the first epoch that is trained."""
        return counted_line(self.num_trainable(self.epoch), self.num_params)

    def phase_rows(self) -> list[tuple[str, str, int]]:
        """The plan before training: (epochs counted from 1, what trains, parameters), one row per phase."""
        plan, rows = self.bound.plan, []
        ends = [*plan.changes, self.steps.epochs]
        for phase, end in zip(plan.phases, ends, strict=True):
            first = phase.from_epoch + 1
            epochs = str(first) if end == first else f"{first}-{end}"
            rows.append((epochs, ", ".join(plan.stage_list(phase)), self.num_trainable(phase.from_epoch)))
        return rows


def describe(record: RunRecord, parts: Parts, *, strategy: StrategySettings, weights: str) -> None:
    """Fill the record's sections on data, model, strategy and parameters."""
    source, splits, backbone = parts.data.source, parts.data.splits, parts.model.backbone
    record.data = {
        "name": source.name,
        **{f"num_{split}": len(indices) for split, indices in splits.items()},
        "num_classes": parts.data.num_classes,
        "fingerprint": source.fingerprint(),
    }
    record.model = {
        "name": backbone.name,
        "weights": weights,
        "weights_sha256": checksum(backbone.model.state_dict()),
        "head": type(parts.model.head).__name__.removesuffix("Head").lower(),
        "num_stages": backbone.num_stages,
        "image_size": backbone.input.size,
    }
    plan = parts.bound.plan
    record.strategy = {
        "name": strategy.name,
        "unfreeze_depth": strategy.unfreeze_depth,
        "phases": plan.as_list(),
        "planned_phases": len(parts.planned.phases),
        "parameters": plan.parameters,
        "batchnorm": plan.batchnorm,
    }
    if (readout := parts.model.readout) is not None:
        names = [backbone.stages[index].name for index in readout.stages]
        record.strategy |= {"feature_stages": names, "feature_grid": readout.grid}
    ever = sum(p.numel() for p in parts.bound.ever_trainable().values())
    record.params = {"trainable": ever, "total": parts.num_params}


def hyperparameters(record: RunRecord, parts: Parts) -> dict[str, str | float | bool]:
    """The same keys with the same types in every run; the depth is a number also where the config says `all`."""
    optim, regularize = parts.model.optim, parts.model.regularize
    return {
        "scenario": record.scenario,
        "strategy": str(record.strategy["name"]),
        "unfreeze_depth": float(len(parts.bound.ever_training())),
        "feature_stages": float(len(parts.model.readout.stages) if parts.model.readout else 1),
        "data": str(record.data["name"]),
        "model": str(record.model["name"]),
        "weights": str(record.model["weights"]),
        "head": str(record.model["head"]),
        "optim": optim.name,
        "penalty": float(record.strategy.get("penalty", 0.0)),
        "lr": float(optim.lr),
        "backbone_lr": float(optim.resolved_backbone_lr),
        "schedule": optim.schedule if optim.penalties is None else "none",
        "batch_size": float(parts.data.batch_size),
        "l2_sp": float(regularize.l2_sp),
        "ema_decay": float(regularize.ema_decay),
        "cache_views": float(record.cache.get("views", 0)),
        "seed": float(record.seed),
    }

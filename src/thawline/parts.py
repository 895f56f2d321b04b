"""What a run is made of, and what its record and its hyperparameters say of it."""

from dataclasses import dataclass

from thawline.data.datamodule import ImageDataModule
from thawline.models.classifier import TransferClassifier
from thawline.models.freezing import FreezePlan, StageStatus, trainable_line
from thawline.models.weights import checksum
from thawline.precision import Precision
from thawline.report.run_record import RunRecord
from thawline.steps import Steps


@dataclass
class Parts:
    """The data, the model, which of its stages train when, its status before training, steps and arithmetic."""

    data: ImageDataModule
    model: TransferClassifier
    plan: FreezePlan
    rows: list[StageStatus]
    steps: Steps
    precision: Precision

    @property
    def trainable_line(self) -> str:
        return trainable_line(self.rows)


def describe(record: RunRecord, parts: Parts, *, weights: str) -> None:
    """Fill the record's sections on data, model and parameters."""
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
    }
    record.params = {
        "trainable": sum(r.num_trainable for r in parts.rows),
        "total": sum(r.num_params for r in parts.rows),
    }


def hyperparameters(record: RunRecord, parts: Parts) -> dict[str, str | float | bool]:
    """The same keys with the same types in every run; the depth is a number also where the config says `all`."""
    optim = parts.model.optim
    return {
        "scenario": record.scenario,
        "strategy": str(record.strategy["name"]),
        "unfreeze_depth": float(len(parts.plan.training_stages(0))),
        "data": str(record.data["name"]),
        "model": str(record.model["name"]),
        "weights": str(record.model["weights"]),
        "head": str(record.model["head"]),
        "lr": float(optim.lr),
        "backbone_lr": float(optim.resolved_backbone_lr),
        "batch_size": float(parts.data.batch_size),
        "seed": float(record.seed),
    }

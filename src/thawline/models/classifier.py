"""TransferClassifier: backbone + head as a LightningModule; the frozen prefix runs without gradients."""

from collections.abc import Iterator

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from thawline.models.backbone import Backbone
from thawline.models.metrics import BalancedAccuracy
from thawline.models.param_groups import build_param_groups
from thawline.models.schedule import lr_factor
from thawline.settings import OptimSettings

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S), class indices (B,)


class TransferClassifier(L.LightningModule):
    """Cross-entropy training of the head and of the stages that the freeze plan lets train.

    Args:
        stages: Indices of the stages that train in at least one epoch; only they and the head reach the optimizer.
        total_steps: Optimizer steps of the whole run, for the schedule.
        prefix_dtype: Type in which the frozen prefix computes; its weights stay as they are.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        *,
        num_classes: int,
        stages: frozenset[int],
        optim: OptimSettings,
        total_steps: int,
        prefix_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.optim = optim
        self.total_steps = total_steps
        self.prefix_dtype = prefix_dtype
        self._stages = stages
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_metrics = MetricCollection({"val/accuracy": MulticlassAccuracy(num_classes, average="micro")})
        self.test_metrics = MetricCollection(
            {
                "test/accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "test/balanced_accuracy": BalancedAccuracy(num_classes),
            },
            compute_groups=False,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S), uint8 -> logits (B, K)."""
        cut = self.backbone.frozen_prefix
        with torch.no_grad():
            x = self._prefix(self.backbone.normalize(images), cut)
        logits: Tensor = self.head(self.backbone.suffix(x, cut))
        return logits

    def _prefix(self, images: Tensor, cut: int) -> Tensor:
        if self.prefix_dtype == torch.float32 or cut == 0:
            return self.backbone.prefix(images, cut)
        with torch.autocast(images.device.type, dtype=self.prefix_dtype):
            return self.backbone.prefix(images, cut).float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self(images)
        loss = F.cross_entropy(logits.float(), labels)
        self.train_accuracy(logits, labels)
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=False)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "val/loss", self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "test/loss", self.test_metrics)

    def _evaluate(self, batch: Batch, loss_key: str, metrics: MetricCollection) -> None:
        images, labels = batch
        logits = self(images).float()
        metrics(logits, labels)
        self.log(loss_key, F.cross_entropy(logits, labels), batch_size=len(labels))
        self.log_dict(metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over the groups of `build_param_groups`, its rate set at every step."""
        groups = build_param_groups(
            self.backbone,
            self.head,
            stages=self._stages,
            lr=self.optim.lr,
            backbone_lr=self.optim.resolved_backbone_lr,
            layer_decay=self.optim.layer_decay,
            weight_decay=self.optim.weight_decay,
        )
        optimizer: torch.optim.Optimizer
        if self.optim.name == "adamw":
            optimizer = torch.optim.AdamW(groups)
        else:
            assert self.optim.name == "sgd", self.optim.name
            optimizer = torch.optim.SGD(groups, momentum=self.optim.momentum)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self._scheduler(optimizer), "interval": "step"}}

    def _scheduler(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        def factor(step: int) -> float:
            return lr_factor(
                step,
                schedule=self.optim.schedule,
                total_steps=self.total_steps,
                warmup_fraction=self.optim.warmup_fraction,
            )

        return LambdaLR(optimizer, factor)

    def group_learning_rates(self) -> Iterator[tuple[str, float]]:
        """(group name, current learning rate) of every stage that trains, and of the head."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            yield group["name"].removesuffix("/no_decay"), float(group["lr"])

"""TransferClassifier: backbone + head as a LightningModule; the frozen prefix runs without gradients."""

from collections.abc import Iterator
from typing import cast

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from thawline.data.datamodule import ImageDataModule
from thawline.data.mixing import make_mixer
from thawline.features.readout import Readout
from thawline.models.compiled import Compiled
from thawline.models.depthwise import Fp32DepthwiseBackward
from thawline.models.freezing import BoundPlan
from thawline.models.fused import FusedPrefix
from thawline.models.head_solver import HeadSolver
from thawline.models.heads import LinearHead
from thawline.models.metrics import BalancedAccuracy
from thawline.models.param_groups import NO_DECAY, build_param_groups
from thawline.models.rates import GroupRates
from thawline.models.regularize import StartingPoint
from thawline.precision import autocast
from thawline.settings import OptimSettings, RegularizeSettings
from thawline.steps import Steps

Batch = tuple[Tensor, Tensor]  # uint8 images (B, 3, S, S) or stored activations, class indices (B,)


class TransferClassifier(L.LightningModule):
    """Cross-entropy training of the head and of the stages that the freeze plan lets train.

    Args:
        bound: The freeze plan with its backbone and head; only what it ever trains reaches the optimizer.
        steps: Optimizer steps of the run and of an epoch, for the schedule.
        prefix_dtype: Type in which the frozen prefix computes; its weights stay as they are.
        compiled: Whether the stages that train are compiled; validation and test run them as they are.
        readout: What the head reads of a backbone that never trains; None is the last stage's features.

    Attributes:
        entry: Cut at which batches that are no images enter: what lies before is stored (`features`).
        fused: The stages that never train, in a faster form; None runs them as they are.
    """

    def __init__(
        self,
        bound: BoundPlan,
        *,
        num_classes: int,
        optim: OptimSettings,
        steps: Steps,
        regularize: RegularizeSettings | None = None,
        prefix_dtype: torch.dtype = torch.float32,
        compiled: bool = False,
        readout: Readout | None = None,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.backbone = bound.backbone
        self.head = bound.head
        self.optim = optim
        self.regularize = regularize or RegularizeSettings()
        self.prefix_dtype = prefix_dtype
        self.readout = readout
        self.entry = 0
        self.fused: FusedPrefix | None = None
        self._compiled = Compiled(self.backbone.suffix) if compiled else None
        backbone = {name: p for name, p in bound.ever_trainable().items() if name.startswith("backbone.")}
        self.starting_point = StartingPoint(backbone) if self.regularize.l2_sp else None
        self.mixer = make_mixer(
            num_classes=num_classes, mixup=self.regularize.mixup, cutmix=self.regularize.cutmix
        )  # draws from torch's generator, which `callbacks/seeding.py` seeds at every step
        self.rates = GroupRates(bound.plan, optim, steps)
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.val_metrics = MetricCollection({"val/accuracy": MulticlassAccuracy(num_classes, average="micro")})
        self.test_metrics = MetricCollection(
            {
                "test/accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "test/balanced_accuracy": BalancedAccuracy(num_classes),
            },
            compute_groups=False,
        )
        self.confusion = MulticlassConfusionMatrix(num_classes)  # of the test; rows are the true classes

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S), uint8, or activations stored at cut `entry` -> logits (B, K)."""
        if images.dtype == torch.uint8:
            if self.readout is not None:
                read = self.readout(self.backbone, images, dtype=self.prefix_dtype, fused=self.fused)
                return self.classify(read)
            normalized = self.backbone.normalize(images) if self.fused is None else self.fused.normalize(images)
            return self.logits(normalized, start=0)
        return self.logits(images, start=self.entry)

    def logits(self, x: Tensor, *, start: int) -> Tensor:
        """Activations at cut `start`, 0 for normalised images -> logits (B, K); frozen stages without gradients."""
        cut = max(self.backbone.frozen_prefix, start)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            x = self._frozen(x, start, cut)
        with Fp32DepthwiseBackward():
            suffix = self._compiled if self._compiled and torch.is_grad_enabled() else self.backbone.suffix
            features = suffix(x, cut)
        return self.classify(features)

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, K), in fp32: of no cost, and the loss is taken of what it gives."""
        with autocast(torch.float32, features.device):
            logits: Tensor = self.head(features.float())
        return logits

    def _frozen(self, x: Tensor, start: int, cut: int) -> Tensor:
        if self.prefix_dtype == torch.float32 or cut == start:
            return self.backbone.between(x.float(), start, cut)
        if self.fused is not None and start < (stop := min(cut, self.fused.cut)):
            x, start = self.fused.between(x, start, stop), stop
        with autocast(self.prefix_dtype, x.device):
            return self.backbone.between(x, start, cut).float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        targets = labels
        if self.mixer is None:
            logits = self(images)
        else:
            mixed, targets = self.mixer(self.backbone.normalize(images), labels)
            logits = self.logits(mixed, start=0)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=self.regularize.label_smoothing)
        self.train_accuracy(logits, labels)
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=False, sync_dist=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        if self.starting_point is not None:
            loss = loss + self.regularize.l2_sp * self.starting_point.penalty()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "val/loss", self.val_loss, self.val_metrics)

    def on_test_start(self) -> None:
        self.confusion.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the logits, (B, K), for callbacks."""
        logits = self._evaluate(batch, "test/loss", self.test_loss, self.test_metrics)
        self.confusion.update(logits, batch[1])
        return logits

    def _evaluate(self, batch: Batch, loss_key: str, mean_loss: MeanMetric, metrics: MetricCollection) -> Tensor:
        images, labels = batch
        logits: Tensor = self(images).float()
        metrics(logits, labels)
        mean_loss(F.cross_entropy(logits, labels), weight=len(labels))
        self.log(loss_key, mean_loss)
        self.log_dict(metrics)
        return logits

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over the groups of `build_param_groups`, made once: stages that thaw later are in it."""
        if self.optim.name == "lbfgs":
            return self._head_solver()
        groups = build_param_groups(self.bound, self.optim, backbone_decay=not self.regularize.l2_sp)
        optimizer: torch.optim.Optimizer
        if self.optim.name == "adamw":
            optimizer = torch.optim.AdamW(groups)
        else:
            assert self.optim.name == "sgd", self.optim.name
            optimizer = torch.optim.SGD(groups, momentum=self.optim.momentum)
        return cast(OptimizerLRScheduler, self.rates.scheduled(optimizer))

    def _head_solver(self) -> HeadSolver:
        """The solver with its rows: what the datamodule stored of the training images."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ImageDataModule), type(data)
        assert isinstance(self.head, LinearHead), type(self.head)
        assert self.optim.penalties is not None
        features, labels = data.stored_rows("train")
        return HeadSolver(self.head, features, labels, penalties=self.optim.penalties)

    def on_train_epoch_start(self) -> None:
        self.rates.begin_epoch(self.current_epoch, self.lr_schedulers())

    def group_learning_rates(self) -> Iterator[tuple[str, float]]:
        """(group name, current learning rate) of what trains at the moment; nothing for a solver without rates."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            if "lr" in group and any(p.requires_grad for p in group["params"]):
                yield group["name"].removesuffix(NO_DECAY), float(group["lr"])

    @property
    def penalty(self) -> float | None:
        """That of the next step of a solver; None where gradients train."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        return optimizer.penalty if isinstance(optimizer, HeadSolver) else None

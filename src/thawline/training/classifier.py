"""TransferClassifier: backbone + head as a LightningModule; the frozen prefix runs without gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from thawline.data.mixing import make_mixer
from thawline.features.activations import Activations, part_of
from thawline.features.readout import Readout
from thawline.features.stored_dataset import StoredRows
from thawline.freezing.bound_plan import BoundPlan
from thawline.models.backbone import Backbone
from thawline.models.compiled import Compiled
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.training.answering import Answering
from thawline.training.applied_plan import AppliedPlan
from thawline.training.classifier_defaults import new_plan, resolved_optim, steps_of
from thawline.training.head_solver import HeadSolver
from thawline.training.in_parts import Forward, Outcome, StepInParts, scaled_as_the_trainer
from thawline.training.l2_sp import StartingPoint
from thawline.training.make_solver import Aim, make_solver
from thawline.training.metrics import accuracy, counted, counting, scores
from thawline.training.param_groups import NO_DECAY, build_param_groups
from thawline.training.rates_over_steps import GroupRates
from thawline.training.stack_sums import StackSums
from thawline.training.steps import Steps

_LIMIT = "step_images"  # key of a checkpoint: images that a training step computes together
Batch = tuple[Tensor | Activations, Tensor]  # uint8 images (B, 3, S, S) or what is stored of them; classes (B,)


class TransferClassifier(Answering, L.LightningModule):
    """Cross-entropy training of the head and of the stages that the freeze plan lets train.

    >>> model = TransferClassifier("resnet10t", num_classes=3, unfreeze_depth=1, weights="none", image_size=64)
    >>> images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    >>> loader = torch.utils.data.DataLoader([(image, i % 3) for i, image in enumerate(images)], batch_size=4)
    >>> L.Trainer(max_epochs=1, accelerator="cpu", barebones=True).fit(model, loader)
    >>> model.eval()(images).shape  # logits
    torch.Size([8, 3])

    Batches are (images, class indices (B,), int64); the images are (B, 3, S, S), uint8, or floating point in [0, 1].

    Args:
        backbone: A `Backbone`, a timm model without classifier, or the name of one. Or a `BoundPlan`, which has
            backbone, head and plan in it; only what it ever trains reaches the optimizer.
        optim: Optimizer and schedule, or the settings that differ, such as `{"lr": 1e-3, "backbone_lr": 1e-4}`. None
            takes AdamW with the rates of the strategy that has this depth.
        steps: Optimizer steps of the run and of an epoch, for the schedule; None asks the trainer.
        head: Features (B, D) -> logits (B, K); None makes a linear layer that starts at zero.
        plan: What else `FreezeCallback` takes (`unfreeze_depth`, None for 2, `thaw_after`, ...), and with a name what
            `Backbone` takes (`weights`, `image_size`).
        prefix: How the stages that do not train compute; None runs them in float32.
        compiled: Whether the stages that train are compiled; validation and test run them as they are.
        readout: What the head reads of a backbone that never trains; None is the last stage's features.
        loss: (logits (B, K), classes (B,) or their shares (B, K)) -> scalar, in training; None is the cross-entropy.
            For classes that differ in size, `ClassLoss`. Validation and test give the cross-entropy.

    Attributes:
        test_counts: Test images of each class, over all processes; after the test.
        beside: A stack with which the answers to images are averaged; set after the fit.
        in_parts: Halves a step that the memory does not hold; None, as it is made, ends in an error there.
        applied: What applies the plan in every fit; None where a callback does, with a `BoundPlan`.
    Raises:
        UserError: An argument is wrong, or a batch is no images.
    """

    def __init__(
        self,
        backbone: BoundPlan | Backbone | nn.Module | str,
        *,
        num_classes: int,
        unfreeze_depth: int | str | None = None,
        optim: OptimSettings | Mapping[str, Any] | None = None,
        steps: Steps | None = None,
        head: nn.Module | None = None,
        regularize: RegularizeSettings | None = None,
        prefix: FrozenPrefix | None = None,
        compiled: bool = False,
        readout: Readout | None = None,
        loss: nn.Module | None = None,
        **plan: Any,
    ) -> None:
        super().__init__()
        bound = new_plan(backbone, num_classes=num_classes, head=head, unfreeze_depth=unfreeze_depth, **plan)
        self.applied = None if bound is backbone else AppliedPlan(bound)
        self.bound = bound
        self.backbone = bound.backbone
        self.head = bound.head
        self.optim = resolved_optim(optim, bound)
        self.steps = steps
        self.regularize = regularize or RegularizeSettings()
        self.loss = loss or nn.CrossEntropyLoss(label_smoothing=self.regularize.label_smoothing)
        self.prefix = prefix or FrozenPrefix(self.backbone)
        self.readout = readout
        self.beside = None
        self.in_parts: StepInParts | None = None
        self._solved_rows: StoredRows | StackSums | None = None
        self._compiled = Compiled(self.backbone.suffix) if compiled else None
        trained = {name: p for name, p in bound.ever_trainable().items() if name.startswith("backbone.")}
        self.starting_point = StartingPoint(trained) if self.regularize.l2_sp else None
        self.mixer = make_mixer(
            num_classes=num_classes, mixup=self.regularize.mixup, cutmix=self.regularize.cutmix
        )  # draws from torch's generator, which `callbacks/seed_each_step.py` seeds at every step
        if steps is not None:
            self.rates = GroupRates(bound.plan, self.optim, steps)
        self._make_metrics(num_classes)

    def _make_metrics(self, num_classes: int) -> None:
        self.train_accuracy = accuracy(num_classes)
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.val_metrics, self.test_metrics = scores("val", num_classes), scores("test", num_classes)
        self.test_counting = counting(num_classes)

    @property
    def first_training(self) -> int:  # type: ignore[override]
        return self.bound.first_training

    @property
    def compiles(self) -> bool:
        """Whether the stages that train are compiled, in the first step of every shape."""
        return self._compiled is not None

    def suffix(self) -> Callable[[Tensor, int], Tensor]:
        """Compiled where gradients are taken, if that was asked for."""
        return self._compiled if self._compiled and torch.is_grad_enabled() else self.backbone.suffix

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        forward, labels = self._forward_of(batch), batch[1]
        if self.in_parts is None:
            outcome = forward(slice(0, len(labels)))
        else:
            outcome = self.in_parts.step(forward, len(labels), scale=self._scaled)
        self.train_accuracy(outcome.logits, labels)
        # Of this process: to average it would make the processes wait for each other in every step.
        self.log("train/loss", outcome.cross_entropy, prog_bar=True, on_step=True, on_epoch=False)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return outcome.loss

    def _forward_of(self, batch: Batch) -> Forward:
        """What computes a part of the batch; images are mixed over the whole of it."""
        images, labels = batch
        mixed, targets = None, labels
        if self.mixer is not None:
            assert isinstance(images, Tensor), "what is stored cannot be mixed as images are"
            mixed, targets = self.mixer(self.backbone.normalize(images), labels)

        def forward(part: slice) -> Outcome:
            logits = self(part_of(images, part)) if mixed is None else self.logits(mixed[part], start=0)
            loss = cross_entropy = self.loss(logits.float(), targets[part])
            if self.starting_point is not None:
                loss = loss + self.regularize.l2_sp * self.starting_point.penalty()
            return Outcome(logits, cross_entropy, loss)

        return forward

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.in_parts is None:
            super().backward(loss, *args, **kwargs)
        else:
            self.in_parts.backward(loss)

    def _scaled(self, loss: Tensor) -> Tensor:
        """As Lightning scales a loss before its backward pass."""
        return scaled_as_the_trainer(loss, self.trainer)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch, "val/loss", self.val_loss, self.val_metrics)

    def on_test_start(self) -> None:
        self.test_counting.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the logits, (B, K), for callbacks."""
        logits = self._evaluate(batch, "test/loss", self.test_loss, self.test_metrics)
        self.test_counting.update(logits, batch[1])
        return logits

    def on_test_epoch_end(self) -> None:
        """Here all processes still share the device and the group that the counts are gathered over."""
        self.test_counts = counted(self.test_counting)

    def _evaluate(self, batch: Batch, loss_key: str, mean_loss: MeanMetric, metrics: MetricCollection) -> Tensor:
        images, labels = batch
        logits: Tensor = self(images).float()
        metrics(logits, labels)
        mean_loss(F.cross_entropy(logits, labels), weight=len(labels))
        self.log(loss_key, mean_loss)
        self.log_dict(metrics)
        return logits

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.in_parts is not None and self.in_parts.limit is not None:
            checkpoint[_LIMIT] = self.in_parts.limit

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.in_parts is not None:
            self.in_parts.limit = checkpoint.get(_LIMIT)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer over the groups of `build_param_groups`, made once: stages that thaw later are in it."""
        if self.optim.solves:
            assert self._solved_rows is not None, "solve_on comes before the fit"
            return make_solver(self.head, self._solved_rows, optim=self.optim, readout=self.readout, aim=self._aim)
        if self.steps is None:
            self.rates = GroupRates(self.bound.plan, self.optim, steps_of(self.trainer))
        groups = build_param_groups(self.bound, self.optim, backbone_decay=not self.regularize.l2_sp)
        optimizer: torch.optim.Optimizer
        if self.optim.name == "adamw":
            optimizer = torch.optim.AdamW(groups)
        else:
            assert self.optim.name == "sgd", self.optim.name
            optimizer = torch.optim.SGD(groups, momentum=self.optim.momentum)
        return cast(OptimizerLRScheduler, self.rates.scheduled(optimizer))

    def solve_on(self, rows: StoredRows | StackSums, aim: Aim) -> None:
        """With `optim=lbfgs` or `ridge`: the training rows that the head is solved for on."""
        self._solved_rows, self._aim = rows, aim

    def on_fit_start(self) -> None:
        if self.applied is not None:
            self.applied.begin_fit()

    def on_train_epoch_start(self) -> None:
        if self.applied is not None:
            self.applied.begin_epoch(self.trainer, self.current_epoch)
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

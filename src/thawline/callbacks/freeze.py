"""Apply the freeze plan at fit start and at every epoch start; prove afterwards that frozen meant frozen."""

import lightning as L
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging

from thawline.errors import UserError
from thawline.models import freezing
from thawline.models.classifier import TransferClassifier
from thawline.models.freezing import FreezePlan


class FrozenStageChanged(RuntimeError):
    """A stage that should never have trained differs from what it was: a defect, ours or a callback's."""


class FreezeCallback(L.Callback):
    """Applies a `FreezePlan`, and compares checksums of what never trains with those from the start of the fit.

    Attributes:
        checks: Number of frozen stages compared.
        verified: Whether they were bitwise unchanged in every comparison, buffers included; None before the first.
    """

    def __init__(self, plan: FreezePlan) -> None:
        self.plan = plan
        self.checks = plan.num_stages - len(plan.ever_training())
        self.verified: bool | None = None
        self._before: dict[str, str] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        model = classifier(pl_module)
        freezing.apply(model.backbone, self.plan.training_stages(trainer.current_epoch))
        self._before = freezing.stage_checksums(model.backbone)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        model = classifier(pl_module)
        freezing.apply(model.backbone, self.plan.training_stages(trainer.current_epoch))
        rows = freezing.status(model.backbone, model.head)
        model.log("freeze/trainable_params", float(sum(r.num_trainable for r in rows)))
        model.log("freeze/unfreeze_depth", float(len(model.backbone.training_stages)))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._verify(pl_module, "training")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The weights that were tested came from the best checkpoint: they are compared too."""
        self._verify(pl_module, "loading the best checkpoint")

    def _verify(self, pl_module: L.LightningModule, occasion: str) -> None:
        backbone = classifier(pl_module).backbone
        after = freezing.stage_checksums(backbone)
        names = freezing.changed(self._before, after, backbone=backbone, trained=self.plan.ever_training())
        self.verified = not names and self.verified is not False
        if names:
            raise FrozenStageChanged(
                f"frozen stages differ after {occasion}: {', '.join(names)}; the result is not what the plan says"
            )


def refuse_unsafe(callbacks: list[L.Callback], plan: FreezePlan) -> None:
    """Refuse callbacks that change frozen stages behind the plan's back.

    Raises:
        UserError: A frozen stage together with StochasticWeightAveraging, which resets the statistics of every
            BatchNorm, or with WeightAveraging, whose average of equal numbers is not bitwise the number.
    """
    frozen = plan.num_stages - len(plan.ever_training())
    for callback in callbacks:
        if frozen and isinstance(callback, (StochasticWeightAveraging, WeightAveraging)):
            raise UserError(
                f"callbacks: {type(callback).__name__} changes the weights or BatchNorm statistics of the {frozen} "
                "frozen stages; remove it, or set strategy.unfreeze_depth=all"
            )


def classifier(module: L.LightningModule) -> TransferClassifier:
    """The module, known to be ours."""
    assert isinstance(module, TransferClassifier), type(module)
    return module

"""Apply the freeze plan at fit start and at every epoch start; prove at the end that frozen meant frozen."""

import lightning as L

from thawline.errors import UserError
from thawline.models import freezing
from thawline.models.classifier import TransferClassifier
from thawline.models.freezing import FreezePlan


class FreezeCallback(L.Callback):
    """Applies a `FreezePlan` and compares the checksums of the stages that never train before and after the fit.

    Attributes:
        checks: Number of stages compared.
        verified: Whether all of them were bitwise unchanged, buffers included; None before the end of the fit.
    """

    def __init__(self, plan: FreezePlan) -> None:
        self.plan = plan
        self.checks = 0
        self.verified: bool | None = None
        self._before: list[str] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        model = _classifier(pl_module)
        freezing.apply(model.backbone, self.plan.training_stages(trainer.current_epoch))
        self._before = freezing.stage_checksums(model.backbone)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        model = _classifier(pl_module)
        freezing.apply(model.backbone, self.plan.training_stages(trainer.current_epoch))
        rows = freezing.status(model.backbone, model.head)
        model.log("freeze/trainable_params", float(sum(r.num_trainable for r in rows)))
        model.log("freeze/unfreeze_depth", float(len(model.backbone.training_stages)))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        backbone = _classifier(pl_module).backbone
        frozen = set(range(backbone.num_stages)) - self.plan.ever_training()
        changed = freezing.changed_stages(self._before, freezing.stage_checksums(backbone), frozen=frozen)
        self.checks = len(frozen)
        self.verified = not changed
        if changed:
            names = ", ".join(backbone.stages[i].name for i in changed)
            raise FrozenStageChanged(
                f"frozen stages changed during training: {names}; the result is not what the plan says"
            )


class FrozenStageChanged(RuntimeError):
    """A stage that should never have trained differs from what it was: a defect, ours or a callback's."""


def refuse_unsafe(callbacks: list[L.Callback], plan: FreezePlan) -> None:
    """Refuse callbacks that change frozen stages behind the plan's back.

    Raises:
        UserError: StochasticWeightAveraging with a frozen stage: it resets the statistics of every BatchNorm.
    """
    frozen = plan.num_stages - len(plan.ever_training())
    if frozen and any(isinstance(c, L.pytorch.callbacks.StochasticWeightAveraging) for c in callbacks):
        raise UserError(
            f"callbacks: StochasticWeightAveraging resets the BatchNorm statistics of the {frozen} frozen stages; "
            "remove it, or set strategy.unfreeze_depth=all"
        )


def _classifier(module: L.LightningModule) -> TransferClassifier:
    assert isinstance(module, TransferClassifier), type(module)
    return module

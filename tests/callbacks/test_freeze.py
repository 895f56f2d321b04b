"""The freeze callback in a real fit: frozen stages are bitwise unchanged, and a breach is seen."""

from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging

from thawline.callbacks.freeze import FreezeCallback, FrozenStageChanged, refuse_unsafe
from thawline.data.datamodule import ImageDataModule
from thawline.data.sources.source import ImageSource
from thawline.errors import UserError
from thawline.models import freezing
from thawline.models.backbone import Backbone
from thawline.models.classifier import TransferClassifier
from thawline.models.freezing import FreezePlan
from thawline.models.heads import LinearHead
from thawline.settings import LoaderSettings, OptimSettings

PLAN = FreezePlan(num_stages=7, unfreeze_depth=2)


def fit(
    backbone: Backbone, source: ImageSource, *callbacks: L.Callback, optim: OptimSettings | None = None
) -> FreezeCallback:
    loader = LoaderSettings(batch_size=8, num_workers=0)
    data = ImageDataModule(source, spec=backbone.input, loader=loader, seed=0)
    freeze = FreezeCallback(PLAN)
    model = TransferClassifier(
        backbone,
        LinearHead(backbone.num_features, 4),
        num_classes=4,
        stages=PLAN.ever_training(),
        optim=optim or OptimSettings(lr=0.01),
        total_steps=6,
    )
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[freeze, *callbacks],
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return freeze


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_frozen_stages_are_bitwise_unchanged_after_training_with_weight_decay_and_momentum(
    tiny_backbone: Backbone, colours: ImageSource, name: str
) -> None:
    before = {k: v.clone() for k, v in tiny_backbone.model.state_dict().items()}
    optim = OptimSettings(name=name, lr=0.01, weight_decay=0.5, momentum=0.9)
    freeze = fit(tiny_backbone, colours, optim=optim)
    after = tiny_backbone.model.state_dict()
    frozen = [k for k in before if not k.startswith(("layer3", "layer4"))]
    assert "bn1.num_batches_tracked" in frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert not torch.equal(before["layer4.0.conv1.weight"], after["layer4.0.conv1.weight"])
    assert after["layer4.0.bn1.num_batches_tracked"] == 6  # 2 epochs of 3 batches
    assert (freeze.verified, freeze.checks) == (True, 5)


class Meddler(L.Callback):
    """Changes one value of a frozen stage, as a careless callback might."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        with torch.no_grad():
            pl_module.backbone.model.layer1[0].conv1.weight[0, 0, 0, 0] += 1e-6


def test_a_frozen_stage_that_changed_is_named(tiny_backbone: Backbone, colours: ImageSource) -> None:
    with pytest.raises(FrozenStageChanged, match="frozen stages differ after training: layer1;"):
        fit(tiny_backbone, colours, Meddler())


class Unfreezer(L.Callback):
    """Turns everything on before the fit, as another library's callback might."""

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.requires_grad_(True)
        pl_module.train()


def test_the_plan_is_applied_again_at_every_epoch_start(tiny_backbone: Backbone, colours: ImageSource) -> None:
    freeze = fit(tiny_backbone, colours, Unfreezer())
    assert freeze.verified
    status = {row.name: row.num_trainable for row in freezing.status(tiny_backbone, LinearHead(1, 1))}
    assert status["layer1"] == 0


@pytest.mark.parametrize("averaging", [StochasticWeightAveraging(swa_lrs=0.01), EMAWeightAveraging()])
def test_averaging_weights_is_refused_with_frozen_stages_only(averaging: L.Callback) -> None:
    with pytest.raises(UserError, match="the 5 frozen stages"):
        refuse_unsafe([averaging], PLAN)
    refuse_unsafe([averaging], FreezePlan(num_stages=7, unfreeze_depth=7))

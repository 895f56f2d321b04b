"""A real fit of the tiny backbone under a freeze plan, with the callbacks that a run has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
import pytest

from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.data.sources.source import ImageSource
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps


@dataclass
class Fitted:
    model: TransferClassifier
    guard: FreezeGuard
    data: ImageDataModule
    trainer: L.Trainer


Fit = Callable[..., Fitted]


@pytest.fixture
def fit(tiny_backbone: Backbone, colours: ImageSource) -> Fit:
    """fit(*callbacks, epochs=2, optim=..., regularize=..., **strategy): 3 batches of 8 images an epoch."""

    def run(
        *callbacks: L.Callback,
        epochs: int = 2,
        optim: OptimSettings | None = None,
        regularize: RegularizeSettings | None = None,
        **strategy: Any,
    ) -> Fitted:
        loader = LoaderSettings(batch_size=8, num_workers=0)
        data = ImageDataModule(colours, spec=tiny_backbone.input, loader=loader, seed=0)
        head = LinearHead(tiny_backbone.num_features, 4)
        bound = bind(StrategySettings("test", **(strategy or {"unfreeze_depth": 2})), tiny_backbone, head).until(epochs)
        model = TransferClassifier(
            bound,
            num_classes=4,
            optim=optim or OptimSettings(lr=0.01),
            steps=Steps(3, 3, 3 * epochs, epochs, 1.0),
            regularize=regularize,
        )
        bound.apply(0)
        guard = FreezeGuard.bound_to(bound)
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
            callbacks=[FreezeCallback.bound_to(bound), SeedEachStep(0), *callbacks, guard],
        )  # fmt: skip
        trainer.fit(model, datamodule=data)
        return Fitted(model, guard, data, trainer)

    return run

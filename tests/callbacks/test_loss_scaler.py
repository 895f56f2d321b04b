"""fp16 with Lightning's loss scaler, as on a T4, but on a CPU: what trains moves, what is frozen stays."""

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from thawline.callbacks.best_and_last import BestCheckpoint, LastCheckpoint
from thawline.callbacks.checkpoint_files import CheckpointFiles
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.callbacks.stop_diverged import StopDiverged
from thawline.data.sources.source import ImageSource
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.heads import LinearHead
from thawline.models.load_checkpoint import load_checkpoint
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps


@pytest.fixture
def model(tiny_backbone: Backbone) -> TransferClassifier:
    bound = bind(
        StrategySettings("test", unfreeze_depth=1), tiny_backbone, LinearHead(tiny_backbone.num_features, 4)
    ).until(1)
    bound.apply(0)
    return TransferClassifier(
        bound,
        num_classes=4,
        optim=OptimSettings(lr=0.01),
        steps=Steps(3, 3, 3, 1, 1.0),
        prefix=FrozenPrefix(tiny_backbone, dtype=torch.float16),
    )


@pytest.fixture
def scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler(device="cpu", init_scale=2.0**16)


def images(colours: ImageSource, model: TransferClassifier) -> ImageDataModule:
    loader = LoaderSettings(batch_size=8, num_workers=0)
    return ImageDataModule(colours, spec=model.backbone.input, loader=loader, seed=0)


def trainer_of(
    model: TransferClassifier, scaler: torch.amp.GradScaler, folder: Path, *callbacks: L.Callback
) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu",
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        max_epochs=1,
        limit_val_batches=1,
        callbacks=[FreezeCallback.bound_to(model.bound), SeedEachStep(0), *callbacks],
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
    )
    trainer.strategy.checkpoint_io = CheckpointFiles()
    return trainer


def test_training_in_fp16(
    model: TransferClassifier, scaler: torch.amp.GradScaler, colours: ImageSource, tmp_path: Path
) -> None:
    data = images(colours, model)
    guard, cost, last = FreezeGuard.bound_to(model.bound), CostCallback(), LastCheckpoint(tmp_path)
    trainable = list(model.bound.ever_trainable())
    before = {name: tensor.clone() for name, tensor in model.bound.tensors().items()}
    unscaled = StopDiverged(BestCheckpoint(tmp_path))  # the loss times 65,536 would be far beyond that of guessing
    trainer = trainer_of(model, scaler, tmp_path, last, cost, guard, unscaled)
    trainer.fit(model, datamodule=data)
    assert guard.verified
    assert all(not torch.equal(before[name], model.bound.tensors()[name]) for name in trainable)
    assert all(tensor.dtype != torch.float16 for tensor in model.state_dict().values())  # weights stay fp32
    assert cost.cost.train_flops > 0
    assert load_checkpoint(last.path)["MixedPrecision"]["scale"] == 2.0**16


def test_a_step_that_overflows_is_left_out(model: TransferClassifier, colours: ImageSource, tmp_path: Path) -> None:
    """The scaler halves its factor and goes on; the next steps count."""
    scaler = torch.amp.GradScaler(device="cpu", init_scale=2.0**40)
    data = images(colours, model)
    trainer_of(model, scaler, tmp_path).fit(model, datamodule=data)
    assert scaler.get_scale() < 2.0**40
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())

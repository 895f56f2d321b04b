"""Fit the tiny backbone under several freeze plans, in one process or in the two that torchrun starts.

python -m torch.distributed.run --nproc_per_node=2 tests/two_processes.py FOLDER
"""

import os
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ColourSource

from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import build_backbone
from thawline.models.heads import LinearHead
from thawline.settings.data_settings import LoaderSettings
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.steps import Steps

PLANS: dict[str, dict[str, Any]] = {
    "constant": {"unfreeze_depth": 2},
    "gradual_unfreezing": {"unfreeze_depth": 2, "thaw_after": 1, "thaw_every": 1},
    "lp_ft": {"unfreeze_depth": 2, "thaw_after": 1, "thaw_lr": 0.02},
    "norm_tuning": {"unfreeze_depth": "all", "parameters": "norm"},
    "bias_tuning": {"unfreeze_depth": "all", "parameters": "bias"},
    "surgical": {"stages": [0, 4]},
    "refreezing": {
        "phases": [
            {"from_epoch": 0, "stages": ["head", -1]},
            {"from_epoch": 1, "stages": ["head", -2]},
            {"from_epoch": 2, "stages": [-1]},
        ]
    },
}
EPOCHS = 3


def fit(plan: str, *, batch_size: int, world_size: int, rank: int) -> dict[str, torch.Tensor]:
    """Train; returns the parameters afterwards. BatchNorm statistics of half a batch differ, so none are updated."""
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", weights="none", image_size=32)
    data = ImageDataModule(
        ColourSource(64),
        spec=backbone.input,
        loader=LoaderSettings(batch_size=batch_size, num_workers=0),
        seed=0,
        rank=rank,
        world_size=world_size,
    )
    strategy = StrategySettings(plan, batchnorm="eval", **PLANS[plan])
    bound = bind(strategy, backbone, LinearHead(backbone.num_features, 4))
    bound.apply(0)
    per_epoch = data.num_train_batches
    optim = OptimSettings(name="sgd", lr=0.05, schedule="constant", warmup_fraction=0.0)
    steps = Steps(per_epoch, per_epoch, per_epoch * EPOCHS, EPOCHS, 1.0)
    model = TransferClassifier(bound, num_classes=4, optim=optim, steps=steps)
    trainer = L.Trainer(
        accelerator="cpu", devices=world_size, strategy="ddp" if world_size > 1 else "auto", max_epochs=EPOCHS,
        use_distributed_sampler=False, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[FreezeCallback.bound_to(bound), SeedEachStep(0), FreezeGuard.bound_to(bound)],
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


if __name__ == "__main__":
    process = int(os.environ["LOCAL_RANK"])
    for name in PLANS:
        torch.save(fit(name, batch_size=4, world_size=2, rank=process), Path(sys.argv[1]) / f"{name}_{process}.pt")

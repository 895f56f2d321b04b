"""Train on two processes that get different numbers of validation and test batches; torchrun starts them.

python -m torch.distributed.run --nproc_per_node=2 tests/uneven_processes.py FOLDER
"""

import os
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ColourSource

from thawline.callbacks.curves import CurvesCallback
from thawline.callbacks.head_inputs import HeadInputs
from thawline.callbacks.mistakes import MistakesCallback
from thawline.models.backbone import build_backbone
from thawline.settings.data_settings import LoaderSettings
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule

NUM_IMAGES = 142  # 21 of them in val and in test each: 11 and 10 for two processes
PLACES = [0, 3, 7, 20]  # of test images whose rows are kept
BATCH_SIZE = 5  # 10 for validation and test: 2 batches and 1


def parts(*, world_size: int, rank: int) -> tuple[TransferClassifier, ImageDataModule]:
    """Model and data; two processes take half of the batches of one."""
    torch.manual_seed(0)
    backbone = build_backbone("test_resnet", weights="none", image_size=32)  # holds BatchNorm, so buffers
    data = ImageDataModule(
        ColourSource(NUM_IMAGES),
        spec=backbone.input,
        loader=LoaderSettings(batch_size=BATCH_SIZE * 2 // world_size, num_workers=0),
        seed=0,
        rank=rank,
        world_size=world_size,
    )
    return TransferClassifier(backbone, num_classes=4, unfreeze_depth=2, optim={"lr": 1e-2}), data


def trainer(*, world_size: int, callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", devices=world_size, strategy="ddp" if world_size > 1 else "auto", max_epochs=2,
        use_distributed_sampler=False, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[*callbacks, MistakesCallback(), HeadInputs(PLACES)],
    )  # fmt: skip


def run(*, world_size: int, rank: int) -> dict[str, Any]:
    """Weights after the fit, and what validation and test of them said."""
    model, data = parts(world_size=world_size, rank=rank)
    curves = CurvesCallback()
    runs = trainer(world_size=world_size, callbacks=[curves])
    runs.fit(model, datamodule=data)
    validated = {key: float(value) for key, value in runs.callback_metrics.items() if key.startswith("val/")}
    step_loss = float(runs.callback_metrics["train/loss"])
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [len(data.val_dataloader()), len(data.test_dataloader())]
    return {
        "state": state,
        "validated": validated,
        "batches": batches,
        "step_loss": step_loss,
        "curve": curves.curves["train/loss"][-1][1],
        **tested(runs, model, data),
    }


def tested(runs: L.Trainer, model: TransferClassifier, data: ImageDataModule) -> dict[str, Any]:
    (scores,) = runs.test(model, datamodule=data, verbose=False)
    confusion = model.test_counts.confusion
    assert confusion is not None
    (answers,) = (callback for callback in runs.callbacks if isinstance(callback, MistakesCallback))
    (inputs,) = (callback for callback in runs.callbacks if isinstance(callback, HeadInputs))
    return {
        "tested": {key: float(value) for key, value in scores.items()},
        "confusion": confusion.clone(),
        "answers": answers.answers,
        "inputs": inputs.kept,
    }


if __name__ == "__main__":
    process = int(os.environ["RANK"])
    torch.save(run(world_size=2, rank=process), Path(sys.argv[1]) / f"{process}.pt")

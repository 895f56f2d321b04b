"""Seed every training step: dropout and mixup then need no state in a checkpoint, and no order of earlier draws."""

from typing import Any

import lightning as L
import torch

from thawline.seeding import mixed_seed


class SeedEachStep(L.Callback):
    """Seeds torch's generators from (seed, epoch, batch, process) before every training batch.

    Validation, workers and other callbacks may draw what they like: the next step does not feel it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        torch.manual_seed(mixed_seed(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank))

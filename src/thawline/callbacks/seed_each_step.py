"""Seed every training step: dropout and mixup then need no state in a checkpoint, and no order of earlier draws."""

from typing import Any

import lightning as L
import torch

from thawline.data.mixed_seed import mixed_seed


class SeedEachStep(L.Callback):
    """Seeds torch's generators from (seed, epoch, batch, process) before every training batch.

    Validation, workers and other callbacks may draw what they like: the next step does not feel it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._accelerated = torch.accelerator.is_available()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = mixed_seed(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        # Without an accelerator, `torch.manual_seed` would spend 2 ms on noting down what one should do later.
        (torch.manual_seed if self._accelerated else torch.default_generator.manual_seed)(seed)

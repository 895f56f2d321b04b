"""Seed every training step, so that a checkpoint needs no random state for dropout and mixup."""

from typing import Any

import lightning as L
import torch

from thawline.data.mixed_seed import mixed_seed


class SeedEachStep(L.Callback):
    """Seeds torch's generators from (seed, epoch, batch, process) before every training batch.

    Random numbers that validation, workers and the callbacks before it draw have no effect on the next step.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._accelerated = torch.accelerator.is_available()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = mixed_seed(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        # Without an accelerator `torch.manual_seed` takes 2 ms more, to store a seed for one that may appear later.
        (torch.manual_seed if self._accelerated else torch.default_generator.manual_seed)(seed)

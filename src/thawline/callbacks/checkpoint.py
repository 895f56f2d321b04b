"""The two checkpoints of a run: best by validation accuracy, and last."""

import os
import shutil
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

MONITOR = "val/accuracy"


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, and knows whether the end of the training was validated.

    Attributes:
        validated_step: Optimizer step of the latest validation.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(dirpath=folder, filename="best", monitor=MONITOR, mode="max", enable_version_counter=False)
        self.folder = folder
        self.validated_step = -1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated_step = trainer.global_step
        super().on_validation_end(trainer, pl_module)

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    def write_last(self, trainer: L.Trainer) -> None:
        """Write `last.ckpt`: the state at the end of the training.

        Raises:
            OSError: The file is not there afterwards; Lightning may report a save that did not happen.
        """
        trainer.save_checkpoint(self.last)
        if not self.last.is_file():
            raise OSError(f"no checkpoint was written to {self.last}")

    def consider_last(self, score: float) -> None:
        """Make the last state the best where its validation accuracy is higher, or where there is no best."""
        if self.best_model_score is None or score > float(self.best_model_score):
            part = self.best.with_suffix(".part")
            shutil.copyfile(self.last, part)
            os.replace(part, self.best)
            self.best_model_score = torch.tensor(score)

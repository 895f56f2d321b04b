"""A callback that cuts its own process off in mid-training, once."""

import os
from pathlib import Path
from typing import Any

import lightning as L

from thawline.machine.session_end import KILLED


class CutOff(L.Callback):
    """Sends this process a signal at one batch of one epoch, unless `marker` says that it did so already."""

    def __init__(self, epoch: int, batch: int, marker: str, number: int = KILLED) -> None:
        self.epoch, self.batch, self.marker, self.number = epoch, batch, Path(marker), number

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch) and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), self.number)

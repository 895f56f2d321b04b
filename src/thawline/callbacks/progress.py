"""One line per validation in the log, and a bar where somebody is watching."""

import logging
import sys
import time

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

_log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs loss and accuracies after every validation."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = trainer.callback_metrics
        shown = [
            f"{key} {float(metrics[key]):.4f}" for key in ("train/loss", "val/loss", "val/accuracy") if key in metrics
        ]
        seconds = time.perf_counter() - self._start
        _log.info("%s  %s  (%.0f s)", _position(trainer), "  ".join(shown), seconds)


def _position(trainer: L.Trainer) -> str:
    if trainer.max_steps > 0:
        return f"step {trainer.global_step}/{trainer.max_steps}"
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


class EpochBar(RichProgressBar):
    """Lightning's bar, counting epochs from 1 as the lines do."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def progress_callbacks() -> list[L.Callback]:
    """The log lines, and a progress bar on a terminal."""
    bar: list[L.Callback] = [EpochBar()] if sys.stdout.isatty() else []
    return [EpochLines(), *bar]

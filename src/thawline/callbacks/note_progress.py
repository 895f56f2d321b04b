"""Tells the record how far the training is."""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from thawline.machine.run_progress import Progress


class NoteProgress(L.Callback):
    """Fills a `Progress`; calls `save` when an epoch begins, so that a run that is killed has said how far it was.

    It stands after what writes `last.ckpt`, which costs more: the two say the same epoch.

    Args:
        epochs: That are planned.
        save: Called by the main process only.
    """

    def __init__(self, progress: Progress, *, epochs: int, save: Callable[[], None]) -> None:
        self.progress = progress
        self.epochs = epochs
        self.save = save

    def note(self, trainer: L.Trainer) -> None:
        """Take over the epoch and the step that the trainer is at."""
        self.progress.epochs, self.progress.step = self.epochs, trainer.global_step
        self.progress.epoch = min(trainer.current_epoch + 1, self.epochs)

    def on_fit_start(self, *_: Any) -> None:
        self.progress.doing = "training"

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.note(trainer)
        if trainer.is_global_zero:
            self.save()

    def on_validation_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.progress.doing = "validating"

    def on_validation_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.progress.doing = "training"

    def on_test_start(self, *_: Any) -> None:
        self.progress.doing = "testing"

"""One log line per validation, and a progress bar on a terminal or in a notebook."""

import logging
import os
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.trainer.states import TrainerFn

from thawline.machine.heartbeat import beat
from thawline.training.steps import Steps

_log = logging.getLogger(__name__)
_DUMB = ("dumb", "unknown")  # values of TERM


class StopAtStep(L.Callback):
    """Ends the fit after a number of optimizer steps, even inside an epoch.

    With Lightning's `max_steps` a resumed run would begin by finishing an epoch that is finished already.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.steps.total:
            trainer.should_stop = True


class EpochLines(L.Callback):
    """Logs loss and accuracies after every validation."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._start = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:  # a validation after the fit belongs to no epoch
            return
        metrics = trainer.callback_metrics
        shown = [
            f"{key} {float(metrics[key]):.4f}" for key in ("train/loss", "val/loss", "val/accuracy") if key in metrics
        ]
        seconds = time.perf_counter() - self._start
        _log.info("%s  %s  (%.0f s)", self._position(trainer), "  ".join(shown), seconds)

    def _position(self, trainer: L.Trainer) -> str:
        if self.steps.total < self.steps.epochs * self.steps.per_epoch:
            return f"step {trainer.global_step}/{self.steps.total}"
        return f"epoch {trainer.current_epoch + 1}/{self.steps.epochs}"


class SignsOfLife(L.Callback):
    """Tells the sweep that started this run, if one did, that batches go on."""

    def on_train_batch_end(self, *_: Any) -> None:
        beat()

    def on_validation_batch_end(self, *_: Any) -> None:
        beat()

    def on_test_batch_end(self, *_: Any) -> None:
        beat()


class EpochBar(RichProgressBar):
    """Lightning's bar, counting epochs from 1 as the lines do."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def _has_cursor() -> bool:
    """Whether lines can be drawn over: not in a file or a pipe, nor in a terminal that says it is dumb (Emacs, CI)."""
    return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in _DUMB


class NotebookBar(TQDMProgressBar):
    """tqdm's bar: a widget where ipywidgets is installed, else one line of text; Rich's would need ipywidgets."""

    def __init__(self) -> None:
        super().__init__(leave=False)

    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")


def in_notebook() -> bool:
    """Whether a Jupyter kernel, or Colab's, runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def progress_callbacks(steps: Steps, *, lines: bool = True, solves: bool = False) -> list[L.Callback]:
    """The log lines, and a progress bar on a terminal or in a notebook; none where one step `solves` it."""
    bar: list[L.Callback] = [NotebookBar()] if in_notebook() else [EpochBar()] if _has_cursor() else []
    return [SignsOfLife(), *([EpochLines(steps)] if lines else []), *([] if solves else bar)]

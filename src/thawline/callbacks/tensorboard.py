"""One event file per run: learning rates, model status, config, and hyperparameters with the final metrics."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from thawline.atomic import CannotWrite, os_error_in
from thawline.callbacks.freeze import classifier
from thawline.machine.utf8_path import utf8_path

_LAYOUT = {
    "Training against validation": {
        "loss": ["Multiline", ["train/loss", "val/loss"]],
        "accuracy": ["Multiline", ["train/accuracy", "val/accuracy"]],
        "classes counted alike": ["Multiline", ["val/balanced_accuracy", "val/macro_f1"]],
    },
    "Freezing": {
        "learning rate of every stage that trains": ["Multiline", ["lr/.*"]],
        "parameters that train": ["Multiline", ["freeze/trainable_params"]],
    },
}
_RATES_PER_EPOCH = 8  # chosen: enough to see a warm-up and a restart


class TensorBoardCallback(L.Callback):
    """Logs texts and pictures at the start, and to every logger `lr/<group>` or `optim/penalty` while training.

    Args:
        texts: Tag -> Markdown, such as the model status and the resolved config.
        pictures: Tag -> PNG file; missing files are left out.
    """

    def __init__(self, texts: dict[str, str], pictures: dict[str, Path] | None = None) -> None:
        self.texts = texts
        self.pictures = pictures or {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                with event_file_named(logger.log_dir):
                    self._log_start(logger.experiment)

    def _log_start(self, writer: SummaryWriter) -> None:
        for tag, text in self.texts.items():
            writer.add_text(tag, text)
        writer.add_custom_scalars(_LAYOUT)
        for tag, path in self.pictures.items():
            if path.is_file():
                add_picture(writer, tag, path)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        interval = max(1, int(trainer.num_training_batches) // _RATES_PER_EPOCH)
        every = min(trainer.log_every_n_steps, interval)  # type: ignore[attr-defined]
        if trainer.global_step % every == 0:
            model = classifier(pl_module)
            scalars = {f"lr/{name}": lr for name, lr in model.group_learning_rates()}
            if model.penalty is not None:
                scalars["optim/penalty"] = model.penalty
            for logger in trainer.loggers:
                logger.log_metrics(scalars, step=trainer.global_step)


def add_picture(writer: SummaryWriter, tag: str, path: Path) -> None:
    writer.add_image(tag, np.asarray(Image.open(path).convert("RGB")), dataformats="HWC")


class EventFileLogger(TensorBoardLogger):
    """Writes the event file directly into the run's folder, and no hparams.yaml.

    Args:
        first_step: First step of a resumed run; from this step on its values replace those of earlier files.
    """

    def __init__(self, folder: Path, *, first_step: int | None = None) -> None:
        super().__init__(utf8_path(folder), name="", version="", default_hp_metric=False, purge_step=first_step)
        if first_step is not None:
            _put_before_now(folder)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with event_file_named(self.log_dir):
            super().log_metrics(metrics, step)

    def save(self) -> None:
        with event_file_named(self.log_dir):
            self.experiment.flush()

    def finalize(self, status: str) -> None:
        """Flush only: Lightning calls this after the fit and after the test, and closing would start a second file."""
        with contextlib.suppress(CannotWrite) if status == "failed" else contextlib.nullcontext():
            self.save()

    def close(self) -> None:
        with event_file_named(self.log_dir):
            self.experiment.close()


@contextlib.contextmanager
def event_file_named(folder: str | Path) -> Iterator[None]:
    """TensorBoard writes in a thread, and its error does not say which file could not be written; this one does.

    Raises:
        CannotWrite: In place of an `OSError` of the block.
    """
    try:
        yield
    except Exception as error:  # Lightning puts one of its own around the file's
        if (cause := os_error_in(error)) is None:
            raise
        latest = max(Path(folder).glob("events.out.tfevents.*"), default=Path(folder))
        raise CannotWrite(cause.errno, cause.strerror or str(cause), os.fsdecode(cause.filename or latest)) from error


def _put_before_now(folder: Path) -> None:
    """Give event files of this second, or of a later one where the clock was set back, earlier seconds in their names.

    They are read in the order of their names, `events.out.tfevents.<second>.<host>.<process>`. A resumed run's file
    that is read before them would replace nothing.
    """
    latest = int(time.time()) - 1
    for path in sorted(folder.glob("events.out.tfevents.*"), reverse=True):
        second, _, rest = path.name.removeprefix("events.out.tfevents.").partition(".")
        if not second.isdecimal() or int(second) <= latest:
            return
        path.rename(path.with_name(f"events.out.tfevents.{latest:010d}.{rest}"))
        latest -= 1


def log_finals(
    logger: TensorBoardLogger, hyperparameters: dict[str, str | float | bool], finals: dict[str, float], *, step: int
) -> None:
    """Write final values under their scalar tags, and the hyperparameters, into the run's event file.

    `SummaryWriter.add_hparams` would make a second run. A key that one run lacks, or has with another type, would not
    appear on the HParams page, so every run writes the same keys with the same types.
    """
    for tag, value in finals.items():
        logger.experiment.add_scalar(tag, value, step)
    for summary in hparams(hyperparameters, finals):  # type: ignore[no-untyped-call]
        logger.experiment._get_file_writer().add_summary(summary, step)
    logger.experiment.flush()

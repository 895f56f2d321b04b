"""The two checkpoints of a run: best by validation accuracy, and last, from which a run goes on."""

import os
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

MONITOR = "val/accuracy"
LAST = "last.ckpt"


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

    def consider(self, checkpoint: Path, score: float) -> None:
        """Make `checkpoint` the best where its validation accuracy is higher, or where there is no best."""
        if self.best_model_score is None or score > float(self.best_model_score):
            self.replace_best(checkpoint, score)

    def replace_best(self, checkpoint: Path, score: float) -> None:
        """Make a copy of `checkpoint` the best; a reader sees the old file or the new one."""
        part = self.best.with_suffix(".part")
        shutil.copyfile(checkpoint, part)
        os.replace(part, self.best)
        self.best_model_score = torch.tensor(score)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "validated_step": self.validated_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning forgets the best where the folder has another name now; a run may have been moved."""
        here, best = str(self.folder), str(self.best)
        moved = {name: best for name in ("best_model_path", "kth_best_model_path") if state_dict[name]}
        known = dict.fromkeys([best][: len(state_dict["best_k_models"])], state_dict["best_model_score"])
        super().load_state_dict({**state_dict, **moved, "best_k_models": known, "dirpath": here})
        self.validated_step = state_dict["validated_step"]


class LastCheckpoint(L.Callback):
    """Writes `last.ckpt` at every epoch boundary, the start of the training included.

    It is written when an epoch begins, after everything that belongs to the one before: its metrics are logged, its
    schedulers have stepped. Its progress counters are those of a fit that ended there, the one state from which
    Lightning goes on without repeating or skipping anything.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST
        self._beginning = False
        self._ended = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._ended:  # also where it ended early
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for logger in trainer.loggers:
            logger.save()  # what the checkpoint says was logged is on the disk before it
        self._beginning = True
        self.write(trainer)
        self._beginning = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._beginning:
            progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
            for counters in ("total", "current"):
                progress[counters] = {**progress[counters], "ready": progress[counters]["completed"]}

    def write_end(self, trainer: L.Trainer) -> None:
        """Write the state at the end of the training; a run that is resumed from it does not train on."""
        self._ended = True
        self.write(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._ended = state_dict["ended"]

    def write(self, trainer: L.Trainer) -> None:
        """Write the state of now; every process calls this.

        Raises:
            OSError: The file is not there afterwards; Lightning may report a save that did not happen.
        """
        before = _version(self.path)
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero and _version(self.path) in (None, before):
            raise OSError(f"no checkpoint was written to {self.path}")


def _version(path: Path) -> tuple[int, int] | None:
    """What tells one version of a file from the next; None where there is no file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns

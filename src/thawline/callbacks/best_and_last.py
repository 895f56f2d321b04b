"""The two checkpoints of a run: the best by validation accuracy, and the last, which a resumed run starts from."""

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
    """Keeps `best.ckpt`. `validated_step` is the optimizer step of the latest validation."""

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
        """Make `checkpoint` the best if its validation accuracy is higher, or if there is no best yet."""
        if self.best_model_score is None or score > float(self.best_model_score):
            self.replace_best(checkpoint, score)

    def replace_best(self, checkpoint: Path, score: float) -> None:
        """Copy `checkpoint` to `best.ckpt`; a reader sees the old file or the new one."""
        part = self.best.with_suffix(".part")
        shutil.copyfile(checkpoint, part)
        os.replace(part, self.best)
        self.best_model_score = torch.tensor(score)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "validated_step": self.validated_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Correct the paths, because Lightning forgets the best checkpoint if the run's folder was moved."""
        here, best = str(self.folder), str(self.best)
        paths = {name: best for name in ("best_model_path", "kth_best_model_path") if state_dict[name]}
        scores = dict.fromkeys([best][: len(state_dict["best_k_models"])], state_dict["best_model_score"])
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": here})
        self.validated_step = state_dict["validated_step"]


class LastCheckpoint(L.Callback):
    """Writes `last.ckpt` when an epoch begins, the first one too.

    Then the epoch before is complete: its metrics are logged and its schedulers have stepped. The progress counters in
    the checkpoint are those of a fit that ended there. Only from such a state Lightning goes on without repeating or
    skipping anything.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST
        self._beginning = False
        self._ended = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._ended:  # also if it ended early
            trainer.should_stop = True

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for logger in trainer.loggers:
            logger.save()  # the log must be on the disk before the checkpoint that counts on it
        self._beginning = True
        self.write(trainer)
        self._beginning = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._beginning:
            progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
            for counters in ("total", "current"):
                progress[counters] = {**progress[counters], "ready": progress[counters]["completed"]}

    def write_end(self, trainer: L.Trainer) -> None:
        """Write the state at the end of the training; a run resumed from it does not train any more."""
        self._ended = True
        self.write(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._ended = state_dict["ended"]

    def write(self, trainer: L.Trainer) -> None:
        """Write the present state; every process calls this.

        Raises:
            OSError: There is no new file afterwards. Lightning may report a save that did not happen.
        """
        before = _version(self.path)
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero and _version(self.path) in (None, before):
            raise OSError(f"no checkpoint was written to {self.path}")


def _version(path: Path) -> tuple[int, int] | None:
    """Differs between two versions of a file; None if there is no file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns

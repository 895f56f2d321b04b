"""The two checkpoints of a run: the weights that are tested, and the last, which a resumed run starts from."""

import errno
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from thawline.atomic import CannotWrite, replacing
from thawline.settings.select_setting import VAL_ACCURACY, VAL_BALANCED, VAL_LOSS, VAL_MACRO_F1

LAST = "last.ckpt"


@dataclass(frozen=True)
class Scores:
    """Of some weights on the validation images; a checkpoint of an earlier version has but the first two."""

    accuracy: float
    loss: float
    balanced_accuracy: float = 0.0
    macro_f1: float = 0.0

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Scores":
        loss = float(metrics[VAL_LOSS])
        return cls(
            float(metrics[VAL_ACCURACY]),
            loss if math.isfinite(loss) else math.inf,
            float(metrics[VAL_BALANCED]),
            float(metrics[VAL_MACRO_F1]),
        )

    def beats(self, other: "Scores", *, by: str = VAL_ACCURACY) -> bool:
        """By the score `by`, of equals by loss; by loss, of equals by accuracy."""
        if by == VAL_LOSS:
            return (-self.loss, self.accuracy) > (-other.loss, other.accuracy)
        name = by.partition("/")[2]
        return (getattr(self, name), -self.loss) > (getattr(other, name), -other.loss)

    @property
    def metrics(self) -> dict[str, float]:
        """Under the keys of run.json, without the loss."""
        return {VAL_ACCURACY: self.accuracy, VAL_BALANCED: self.balanced_accuracy, VAL_MACRO_F1: self.macro_f1}


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`: while training the weights that validate best, in the end those that are tested.

    Args:
        by: The score on the validation images that says which is best, of `SELECT`; see `Scores.beats`.
        within_epochs: Whether validations come within an epoch too. Left to itself, Lightning takes a validation after
            every batch for one after every epoch, and saves at its end alone.
    Attributes:
        best_scores, latest: Scores of the best weights, and of the latest validation; None before the first.
        validated_step: Optimizer step of the latest validation.
    """

    def __init__(self, folder: Path, *, by: str = VAL_ACCURACY, within_epochs: bool = False) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=VAL_ACCURACY,
            mode="max",
            enable_version_counter=False,
            save_on_train_epoch_end=False if within_epochs else None,
        )
        self.folder = folder
        self.by = by
        self.best_scores: Scores | None = None
        self.latest: Scores | None = None
        self.validated_step = -1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated_step = trainer.global_step
        if trainer.state.fn == TrainerFn.FITTING:
            self.latest = Scores.of(trainer.callback_metrics)
        super().on_validation_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether the latest weights are the best so far."""
        assert self.latest is not None
        better = self.best_scores is None or self.latest.beats(self.best_scores, by=self.by)
        if better:
            self.best_scores = self.latest
        return better

    @property
    def best(self) -> Path:
        return self.folder / "best.ckpt"

    def consider(self, checkpoint: Path, scores: Scores) -> None:
        """Make `checkpoint` the best where it validates better, or where there is no best."""
        if self.best_scores is None or scores.beats(self.best_scores, by=self.by):
            self.replace_best(checkpoint, scores)

    def replace_best(self, checkpoint: Path, scores: Scores) -> None:
        """Make a copy of `checkpoint` the best; a reader sees the old file or the new one."""
        with replacing(self.best) as part:
            shutil.copyfile(checkpoint, part)
        self.note_best(scores)

    def note_best(self, scores: Scores) -> None:
        """Say how what `best.ckpt` holds now validates."""
        self.best_model_score, self.best_scores = torch.tensor(scores.accuracy), scores

    def state_dict(self) -> dict[str, Any]:
        scores = {name: asdict(s) for name in ("best_scores", "latest") if (s := getattr(self, name)) is not None}
        return {**super().state_dict(), "validated_step": self.validated_step, "scores": scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Correct the paths, because Lightning forgets the best checkpoint if the run's folder was moved."""
        here, best = str(self.folder), str(self.best)
        paths = {name: best for name in ("best_model_path", "kth_best_model_path") if state_dict[name]}
        scores = dict.fromkeys([best][: len(state_dict["best_k_models"])], state_dict["best_model_score"])
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": here})
        self.validated_step = state_dict["validated_step"]
        if "scores" not in state_dict and state_dict["best_model_score"] is not None:  # of an earlier version
            self.best_scores = Scores(float(state_dict["best_model_score"]), math.inf)
        for name, scores in state_dict.get("scores", {}).items():
            setattr(self, name, Scores(**scores))


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
            CannotWrite: There is no new file afterwards, whoever writes it.
        """
        before = _version(self.path)
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero and _version(self.path) in (None, before):
            raise CannotWrite(errno.EIO, "no checkpoint was written", str(self.path))


def _version(path: Path) -> tuple[int, int] | None:
    """Differs between two versions of a file; None if there is no file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns

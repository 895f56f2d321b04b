"""Learning curves for run.json, so that runs are compared without reading event files."""

import math
from typing import Any

import lightning as L
from torch import Tensor

_TRAINED = ("train/loss", "train/accuracy")
_OF_ONE_PROCESS = ("train/loss",)
_VALIDATED = ("val/loss", "val/accuracy", "val/balanced_accuracy", "val/macro_f1")
Curves = dict[str, list[list[float | None]]]  # tag -> [optimizer step, value] pairs; None where it is not finite


def _over_processes(trainer: L.Trainer, tag: str) -> Tensor:
    value = trainer.callback_metrics[tag]
    if tag not in _OF_ONE_PROCESS or trainer.world_size == 1:
        return value
    mine = value.clone().to(trainer.strategy.root_device)  # a copy: it is averaged in place
    mean: Tensor = trainer.strategy.reduce(mine, reduce_op="mean")
    return mean


class CurvesCallback(L.Callback):
    """Records loss and accuracy after every epoch and every validation; a resumed run goes on with the same curves.

    The training loss is that of the epoch's last step. A step logs that of its process alone; here all are averaged.
    """

    def __init__(self) -> None:
        self.curves: Curves = {}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note(trainer, _TRAINED)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":  # after the fit, candidates for the best weights are validated once more
            self._note(trainer, _VALIDATED)

    def _note(self, trainer: L.Trainer, tags: tuple[str, ...]) -> None:
        for tag in tags:
            if tag in trainer.callback_metrics:
                value = float(_over_processes(trainer, tag))
                point = [trainer.global_step, value if math.isfinite(value) else None]
                self.curves.setdefault(tag, []).append(point)

    def state_dict(self) -> dict[str, Any]:
        return {"curves": self.curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves = state_dict["curves"]

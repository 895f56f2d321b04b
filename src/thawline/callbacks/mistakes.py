"""The test images with the worst wrong predictions, for a picture of them."""

from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

NUM_SHOWN = 12  # chosen: three rows of four


@dataclass(frozen=True)
class Mistake:
    """A test image that was classified wrong.

    Attributes:
        position: Position in the test split.
        confidence: Predicted probability of the class `predicted`.
    """

    position: int
    truth: int
    predicted: int
    confidence: float
    loss: float


class MistakesCallback(L.Callback):
    """Keeps loss and prediction of every test image of this process."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []  # per batch: truth, predicted, confidence, loss, (B, 4)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._rows = []

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: tuple[Tensor, Tensor], *_: Any
    ) -> None:
        logits, labels = outputs.float(), batch[1]
        confidence, predicted = logits.softmax(1).max(1)
        loss = F.cross_entropy(logits, labels, reduction="none")
        self._rows.append(torch.stack([labels, predicted, confidence, loss], 1).cpu().double())

    def worst(self, number: int = NUM_SHOWN) -> list[Mistake]:
        """The wrong predictions with the highest loss, the worst first."""
        rows = torch.cat(self._rows)
        wrong = (rows[:, 0] != rows[:, 1]).nonzero().flatten()
        order = wrong[rows[wrong, 3].argsort(descending=True, stable=True)][:number]
        return [Mistake(int(i), int(r[0]), int(r[1]), float(r[2]), float(r[3])) for i in order for r in [rows[i]]]

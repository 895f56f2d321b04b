"""The test images with the worst wrong predictions, for a picture of them."""

from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from thawline.machine.collectives import rows_of_all

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
    """Keeps the answer to every test image, of several processes in each."""

    def __init__(self) -> None:
        self._answers: list[Tensor] = []  # per batch: log-probabilities, (B, K), float32
        self._labels: list[Tensor] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._answers, self._labels = [], []

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: tuple[Tensor, Tensor], *_: Any
    ) -> None:
        self._answers.append(outputs.float().log_softmax(1).cpu())
        self._labels.append(batch[1].cpu())

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Kept once: of 20,000 classes every copy counts.
        self._answers, self._labels = ([rows_of_all(torch.cat(kept))] for kept in (self._answers, self._labels))

    @property
    def answers(self) -> tuple[Tensor, Tensor]:
        """After a test: log-probabilities (N, K), float32, and classes (N,) in the order of the test split."""
        return self._answers[0], self._labels[0]

    def worst(self, number: int = NUM_SHOWN) -> list[Mistake]:
        """The wrong predictions with the highest loss, the worst first."""
        answers, labels = self.answers
        confidence, predicted = answers.max(1)
        loss = F.nll_loss(answers, labels, reduction="none")
        wrong = (predicted != labels).nonzero().flatten()
        order = wrong[loss[wrong].argsort(descending=True, stable=True)][:number]
        return [
            Mistake(int(i), int(labels[i]), int(predicted[i]), float(confidence[i].exp()), float(loss[i]))
            for i in order
        ]

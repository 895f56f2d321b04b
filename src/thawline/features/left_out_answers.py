"""How a stack answered the images that it was not fitted on, image by image: to compare it with other stacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from thawline.atomic import write_atomically
from thawline.machine.utf8_path import utf8_file

LEFT_OUT_FILE = "left_out.safetensors"


@dataclass(frozen=True)
class LeftOutAnswers:
    """Answers to N images.

    Attributes:
        images: Their indices in the source, (N,), int64.
        groups: Group of each, (N,), int64.
        losses: Minus the logarithm of the probability of the right class, (N,), float64.
        right: Whether the right class is the most probable one, (N,), bool.
    """

    images: Tensor
    groups: Tensor
    losses: Tensor
    right: Tensor

    @classmethod
    def of(cls, log_probabilities: Tensor, labels: Tensor, *, images: Tensor, groups: Tensor) -> "LeftOutAnswers":
        """From log-probabilities (N, K) and classes (N,)."""
        losses = -log_probabilities.double().gather(1, labels[:, None])[:, 0]
        return cls(images, groups, losses, log_probabilities.argmax(1) == labels)

    def save(self, folder: Path) -> None:
        write_atomically(folder / LEFT_OUT_FILE, save({key: t.contiguous() for key, t in vars(self).items()}))

    @classmethod
    def load(cls, folder: Path) -> "LeftOutAnswers":
        with utf8_file(folder / LEFT_OUT_FILE) as readable:
            return cls(**load_file(readable))

    def to(self, images: Tensor) -> "LeftOutAnswers":
        """Those to `images`, (M,), rising; all of them are among these."""
        order = self.images.argsort()
        rows = order[torch.searchsorted(self.images[order], images)]
        return LeftOutAnswers(*(tensor[rows] for tensor in (self.images, self.groups, self.losses, self.right)))


def of_same_images(answers: Sequence[LeftOutAnswers]) -> list[LeftOutAnswers]:
    """To the images that all of them answered, in the same order."""
    common = set(answers[0].images.tolist()).intersection(*(a.images.tolist() for a in answers[1:]))
    images = torch.tensor(sorted(common), dtype=torch.int64)
    return [a.to(images) for a in answers]

"""Refuse to train where the processes of a run do not hold the same images, weights and settings."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch.distributed

from thawline.errors import LINE_PRINTED, UserError
from thawline.machine.collectives import begin_signs_of_life

_HINTS = {
    "data": "every machine needs the same images; copy them there, or name a folder that all can read",
    "model": "every machine needs the same weights; copy the file there",
    "trainer.accelerator": "use machines with the same devices, or trainer.accelerator=cpu",
    "trainer.precision": "name one that every device can, such as trainer.precision=32-true",
}
_HINT = "give every process the same command"
_ABSENT = "(absent)"


def first_disagreement(held: Sequence[Mapping[str, str]]) -> str | None:
    """One line on the first key in which a process differs from process 0; None where none does.

    Args:
        held: What each process holds, in the order of the processes.

    >>> first_disagreement([{"seed": "0"}, {"seed": "0"}, {"seed": "1"}])
    'seed: process 0 has 0, process 2 has 1; give every process the same command'
    """
    first = held[0]
    for rank, other in enumerate(held):
        for key in sorted(first.keys() | other.keys()):
            here, there = first.get(key, _ABSENT), other.get(key, _ABSENT)
            if here != there:
                hint = _HINTS.get(key) or _HINTS.get(key.partition(".")[0], _HINT)
                return f"{key}: process 0 has {here}, process {rank} has {there}; {hint}"
    return None


def refuse_disagreement(held: Sequence[Mapping[str, str]], *, rank: int) -> None:
    """All processes call it with what all hold.

    Args:
        rank: Of this process.
    Raises:
        UserError: A process differs; only the first tells it.
    """
    if (line := first_disagreement(held)) is not None:
        error = UserError(line)
        setattr(error, LINE_PRINTED, rank != 0)
        raise error


class SameEverywhere(L.Callback):
    """Compares what the processes hold as soon as they can talk to each other; all end where one differs.

    Args:
        held: What this process holds, as text by key.
    """

    def __init__(self, held: Mapping[str, str]) -> None:
        self.held = dict(held)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Before the model is wrapped: wrapping waits for parameters of the same shapes."""
        if stage != "fit" or trainer.world_size == 1:
            return
        begin_signs_of_life()
        held: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(held, self.held)
        refuse_disagreement(held, rank=trainer.global_rank)

"""What the head reads of some test images, kept while they are tested: it costs no pass of its own."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from thawline.machine.collectives import of_all


class HeadInputs(L.Callback):
    """Keeps the rows of images at given places of the test, of several processes in each.

    Args:
        places: Positions in the test split, ascending.
    """

    def __init__(self, places: Sequence[int]) -> None:
        self._wanted = torch.tensor(places, dtype=torch.int64)
        self._handle: RemovableHandle | None = None

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._remove()
        self._rows, self._places, self._seen, self._input = list[Tensor](), list[Tensor](), 0, torch.empty(0)
        self._mine = self._wanted[self._wanted % trainer.world_size == trainer.global_rank]
        self._local = self._mine // trainer.world_size  # where they stand among the images of this process
        head = pl_module.head
        assert isinstance(head, nn.Module)
        self._handle = head.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self._input = arguments[0].detach()

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: tuple[Any, Tensor], *_: Any
    ) -> None:
        number = len(batch[1])
        inside = (self._local >= self._seen) & (self._local < self._seen + number)
        if inside.any() and len(self._input) == number:
            rows = (self._local[inside] - self._seen).to(self._input.device)
            self._rows.append(self._input[rows].flatten(1).float().cpu())
            self._places.append(self._mine[inside])
        self._seen, self._input = self._seen + number, torch.empty(0)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._remove()
        shares = [share for share in of_all((self._rows, self._places)) if share[0]]
        if shares:
            rows, places = (torch.cat([part for share in shares for part in share[kept]]) for kept in (0, 1))
            ascending = places.argsort()
            self._rows, self._places = [rows[ascending]], [places[ascending]]

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._remove()

    def _remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @property
    def kept(self) -> tuple[Tensor, Tensor]:
        """After a test: rows (M, D), float32, and their places (M,), ascending; M is 0 where it did not reach them."""
        if not self._rows:
            return torch.empty(0, 0), torch.empty(0, dtype=torch.int64)
        return self._rows[0], self._places[0]

"""Where a batch is too large for the device's memory, compute it in halves."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from thawline.machine.device_memory import is_lack_of_memory

_log = logging.getLogger(__name__)


class Halving:
    """(B, ...) -> tensors (B, ...), in as many parts as the memory needs; later batches keep the size that fits.

    Args:
        run: The computation; it must not depend on which images are computed together.
        what: Names the computation in messages.
        on_limit: Called with a new limit.
    Attributes:
        limit: Largest number of images that are computed together; None until memory ran out.
    """

    def __init__(
        self, run: Callable[[Tensor], list[Tensor]], *, what: str, on_limit: Callable[[int], None] | None = None
    ) -> None:
        self._run = run
        self._on_limit = on_limit
        self._what = what
        self.limit: int | None = None

    def __call__(self, images: Tensor) -> list[Tensor]:
        """
        Raises:
            RuntimeError: The memory does not hold a single image; on CUDA a `torch.OutOfMemoryError`.
        """
        size = self.limit or len(images)
        while True:
            try:
                parts = [self._run(part) for part in torch.split(images, size)]
            except RuntimeError as error:
                if size == 1 or not is_lack_of_memory(error):
                    raise
                size = self.limit = -(-size // 2)
                _log.warning("%s: the memory of %s is full; going on with %d images at a time.", self._what,
                             images.device, size)  # fmt: skip
                torch.cuda.empty_cache()
                if self._on_limit is not None:
                    self._on_limit(size)
                continue
            return parts[0] if len(parts) == 1 else [torch.cat(column) for column in zip(*parts, strict=True)]

"""How fast images go through frozen stages, without what comes before the first ones are through."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Pace:
    """Of one pass or several. Hashing, starting processes that load images and compiling come before a first batch.

    Attributes:
        num_images: Those of all batches but the first of each pass.
        seconds: From the end of the first batch to the end of the last one.
    """

    num_images: int = 0
    seconds: float = 0.0

    @property
    def image_s(self) -> float | None:
        """Seconds an image; None where no pass had a second batch."""
        return self.seconds / self.num_images if self.num_images else None

    def over(self, batches: Iterable[list[Tensor]]) -> Iterator[list[Tensor]]:
        """`batches`, whose tensors have a row for each image."""
        before: float | None = None
        for tensors in batches:
            now = time.perf_counter()
            if before is not None:
                self.seconds += now - before
                self.num_images += len(tensors[0])
            before = now
            yield tensors

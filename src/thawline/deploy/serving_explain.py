"""Where the model looked: the heatmap laid over the model's input, as a PNG, made between the batches of others."""

import asyncio
import contextlib
import importlib
import io
from collections.abc import Iterator
from concurrent.futures import Executor
from importlib.util import find_spec
from typing import Any

from fastapi import HTTPException
from torch import Tensor

from thawline.deploy.loaded import Model

HEATMAP_MODULE = "thawline.deploy.heatmap"
MOST_AT_ONCE = 4  # chosen: one is computed and three wait, so that the last is done well within the default time-out


def can_explain() -> bool:
    return find_spec(HEATMAP_MODULE) is not None


def explained(model: Model, image: Tensor, class_index: int) -> Iterator[bytes | None]:
    """PNG of the input, uint8 (3, S, S), with the heat of a class over it; in steps: None, ... and the PNG."""
    heatmaps: Any = importlib.import_module(HEATMAP_MODULE)  # when it is asked for: a server starts without it
    for heat in heatmaps.heatmap_steps(model, image, class_index):
        if heat is None:
            yield None
            continue
        file = io.BytesIO()
        heatmaps.overlay(image, heat).save(file, "PNG")
        yield file.getvalue()


class Explanations:
    """Makes one heatmap at a time, a step at a time in the thread of the model.

    A batch of predictions that arrives meanwhile comes after the step that is being computed, not after the heatmap.
    """

    def __init__(self, thread: Executor) -> None:
        self._thread = thread
        self._one = asyncio.Lock()
        self._places = MOST_AT_ONCE

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while the block lasts.

        Raises:
            HTTPException: All are taken.
        """
        if not self._places:
            raise HTTPException(503, "too many heatmaps at once; try again", {"retry-after": "1"})
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def made(self, steps: Iterator[bytes | None]) -> bytes:
        """The last of `steps`; when the caller is cancelled, no step begins any more."""
        loop = asyncio.get_running_loop()
        async with self._one:
            while (picture := await loop.run_in_executor(self._thread, next, steps)) is None:
                pass
        return picture

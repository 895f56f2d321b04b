"""Dynamic batching: what arrives within a few milliseconds is computed together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Waiting(Generic[Item, Answer]):
    item: Item
    arrived: float  # seconds, clock of the event loop
    answer: "asyncio.Future[Answer]"


@dataclass
class Batches(Generic[Item, Answer]):
    """Collects items and computes them together, one batch at a time, in a thread of `thread`.

    Items that arrive while a batch is computed wait for the next one, so batches grow with the load.

    Args:
        compute: Items -> their answers, in the same order.
        largest: Items of a batch at most.
        wait_s: Time that the first item of a batch waits for others; an item that waited longer already waits no more.
        seen: Is called with the size of each batch.
    """

    compute: Callable[[list[Item]], Sequence[Answer]]
    thread: Executor
    largest: int
    wait_s: float
    seen: Callable[[int], None] = lambda size: None
    _queue: "asyncio.Queue[_Waiting[Item, Answer]]" = field(default_factory=asyncio.Queue)

    @property
    def num_waiting(self) -> int:
        return self._queue.qsize()

    async def answer(self, item: Item) -> Answer:
        """The answer to one item; raises what `compute` raised."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Answer] = _Waiting(item, loop.time(), loop.create_future())
        self._queue.put_nowait(waiting)
        return await waiting.answer

    async def run(self) -> None:
        """Compute batches until cancelled."""
        while True:
            batch = await self._next()
            if batch:
                self.seen(len(batch))
                await self._answer(batch)

    async def _next(self) -> list[_Waiting[Item, Answer]]:
        """The next batch; without those whose client gave up."""
        batch = [await self._queue.get()]
        if 1 + self._queue.qsize() < self.largest:
            await asyncio.sleep(max(0.0, batch[0].arrived + self.wait_s - asyncio.get_running_loop().time()))
        while len(batch) < self.largest and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return [waiting for waiting in batch if not waiting.answer.done()]

    async def _answer(self, batch: list[_Waiting[Item, Answer]]) -> None:
        items = [waiting.item for waiting in batch]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self.thread, self.compute, items)
        except Exception as error:  # whatever it is, those who wait must hear of it, and the next batch be computed
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

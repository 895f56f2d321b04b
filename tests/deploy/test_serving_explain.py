"""Heatmaps of the server: pictures, made between the batches of predictions, and never too many at once."""

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi import HTTPException
from PIL import Image

from thawline.deploy.serving_batches import Batches
from thawline.deploy.serving_explain import HEATMAP_MODULE, MOST_AT_ONCE, Explanations, explained


def test_the_picture_of_a_heatmap_is_a_png(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def heatmap_steps(model: Any, image: torch.Tensor, class_index: int) -> Iterator[torch.Tensor | None]:
        asked.append((model, tuple(image.shape), class_index))
        yield None
        yield torch.zeros(8, 8)

    def overlay(image: torch.Tensor, heat: torch.Tensor) -> Image.Image:
        return Image.new("RGB", tuple(heat.shape))

    monkeypatch.setitem(sys.modules, HEATMAP_MODULE, SimpleNamespace(heatmap_steps=heatmap_steps, overlay=overlay))
    model: Any = "the model"
    first, last = explained(model, torch.zeros(3, 8, 8, dtype=torch.uint8), 2)
    assert first is None
    picture = Image.open(io.BytesIO(last or b""))
    assert (picture.format, picture.size) == ("PNG", (8, 8))
    assert asked == [("the model", (3, 8, 8), 2)]


def test_predictions_come_between_the_steps_of_a_heatmap() -> None:
    """One that arrives during a step is computed before the next."""
    done: list[str] = []
    during_second, asked = threading.Event(), threading.Event()

    def steps() -> Iterator[bytes | None]:
        for step in range(4):
            if step == 1:
                during_second.set()
                assert asked.wait(10)
            done.append(f"step {step}")
            yield None if step < 3 else b"picture"

    def predicted(items: list[int]) -> list[int]:
        done.append("prediction")
        return items

    async def server() -> bytes:
        explanations = Explanations(thread)
        batches = Batches[int, int](predicted, thread, largest=4, wait_s=0.0)
        running = asyncio.create_task(batches.run())
        picture = asyncio.create_task(explanations.made(steps()))
        await asyncio.to_thread(during_second.wait, 10)
        answer = asyncio.create_task(batches.answer(1))
        await asyncio.sleep(0.02)  # it is handed to the thread
        asked.set()
        await answer
        made = await picture
        running.cancel()
        return made

    with ThreadPoolExecutor(1) as thread:
        assert asyncio.run(server()) == b"picture"
    assert done == ["step 0", "step 1", "prediction", "step 2", "step 3"]


def test_one_heatmap_at_a_time_and_a_full_line_is_a_503() -> None:
    at_once: list[str] = []
    going = threading.Event()

    def steps(name: str) -> Iterator[bytes | None]:
        at_once.append(name)
        going.wait(10)
        yield None
        at_once.append(name)
        yield name.encode()

    async def asked(explanations: Explanations, name: str) -> bytes:
        with explanations.place():
            return await explanations.made(steps(name))

    async def clients() -> list[bytes]:
        explanations = Explanations(thread)
        waiting = [asyncio.create_task(asked(explanations, str(number))) for number in range(MOST_AT_ONCE)]
        await asyncio.sleep(0.01)
        with pytest.raises(HTTPException) as refused:
            await asked(explanations, "one more")
        assert (refused.value.status_code, refused.value.headers) == (503, {"retry-after": "1"})
        waiting.pop().cancel()  # whose client gave up
        await asyncio.sleep(0.01)
        waiting.append(asyncio.create_task(asked(explanations, "later")))
        going.set()
        return await asyncio.gather(*waiting)

    with ThreadPoolExecutor(1) as thread:
        assert asyncio.run(clients()) == [b"0", b"1", b"2", b"later"]
    assert at_once == [name for name in ("0", "1", "2", "later") for _ in range(2)]


def test_a_heatmap_that_nobody_waits_for_ends_after_its_step() -> None:
    begun: list[int] = []
    during = threading.Event()

    def steps() -> Iterator[bytes | None]:
        for step in range(4):
            begun.append(step)
            during.set()
            yield None
        yield b"picture"

    async def impatient() -> None:
        explanations = Explanations(thread)
        first = asyncio.create_task(explanations.made(steps()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await explanations.made(iter([None, b"next"])) == b"next"

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(impatient())
    assert len(begun) <= 1

"""Parts of the server without one: batches, slow clients, limits of what is held, the heatmap's picture."""

import asyncio
import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import HTTPException
from uvicorn.server import ServerState

from thawline.data.decode import UnreadableImage
from thawline.deploy import serving_loop
from thawline.deploy.serving_batches import Batches
from thawline.deploy.serving_guard import Guard
from thawline.deploy.serving_images import Limits, check_size
from thawline.deploy.serving_metrics import Metrics


def doubled(items: list[int], sizes: list[int]) -> list[int]:
    sizes.append(len(items))
    if 13 in items:
        raise RuntimeError("unlucky")
    return [2 * item for item in items]


async def through(batches: "Batches[int, int]", items: range, *, gap_s: float = 0.0) -> list[Any]:
    """The answers to items that arrive `gap_s` apart; an exception where one was raised."""
    running = asyncio.create_task(batches.run())
    asked = []
    for item in items:
        asked.append(asyncio.ensure_future(batches.answer(item)))
        await asyncio.sleep(gap_s)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    running.cancel()
    return answers


def test_a_batch_holds_what_arrives_within_the_time_and_never_more_than_the_largest() -> None:
    sizes: list[int] = []
    with ThreadPoolExecutor(1) as thread:
        batches = Batches[int, int](lambda items: doubled(items, sizes), thread, largest=4, wait_s=0.2)
        assert asyncio.run(through(batches, range(10))) == [2 * item for item in range(10)]
    assert sizes == [4, 4, 2]


def test_an_image_alone_waits_no_longer_than_it_is_told() -> None:
    sizes: list[int] = []
    with ThreadPoolExecutor(1) as thread:
        batches = Batches[int, int](lambda items: doubled(items, sizes), thread, largest=4, wait_s=0.01)
        asyncio.run(through(batches, range(3), gap_s=0.1))
    assert sizes == [1, 1, 1]


def test_what_arrives_while_a_batch_is_computed_is_the_next_batch() -> None:
    sizes: list[int] = []

    def slow(items: list[int]) -> list[int]:
        time.sleep(0.2)
        return doubled(items, sizes)

    with ThreadPoolExecutor(1) as thread:
        batches = Batches[int, int](slow, thread, largest=8, wait_s=0.0)
        asyncio.run(through(batches, range(6), gap_s=0.01))
    assert sizes == [1, 5]


def test_an_error_reaches_its_batch_only() -> None:
    with ThreadPoolExecutor(1) as thread:
        batches = Batches[int, int](lambda items: doubled(items, []), thread, largest=2, wait_s=0.2)
        answers = asyncio.run(through(batches, range(12, 16)))
    assert [str(answer) for answer in answers] == ["unlucky", "unlucky", "28", "30"]


def test_who_gave_up_is_not_computed() -> None:
    sizes: list[int] = []

    async def impatient() -> int:
        batches = Batches[int, int](lambda items: doubled(items, sizes), thread, largest=4, wait_s=0.1)
        running = asyncio.create_task(batches.run())
        gone, kept = (asyncio.ensure_future(batches.answer(item)) for item in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        answer = await kept
        running.cancel()
        return answer

    with ThreadPoolExecutor(1) as thread:
        assert asyncio.run(impatient()) == 4
    assert sizes == [1]


async def _never(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


async def _large(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 50_000_000})


async def closed_after(app: Any, sent: bytes) -> float:
    """Seconds until the protocol closes a connection on which `sent` came and nothing is read."""
    loop = asyncio.get_running_loop()
    config, state, lost = (
        uvicorn.Config(app, log_config=None, ws="none", lifespan="off"),
        ServerState(),
        asyncio.Event(),
    )

    class Watched(serving_loop.TimedProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    server = await loop.create_server(lambda: Watched(config, state, {}), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1)
    begun = loop.time()
    writer.write(sent)
    await asyncio.wait_for(lost.wait(), 20)
    took = loop.time() - begun
    writer.close()
    server.close()
    return took


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_a_head_that_does_not_arrive_closes_the_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_loop, "HEAD_SECONDS", 0.2)
    assert 0.15 < asyncio.run(closed_after(_never, sent)) < 10


def test_an_answer_that_nobody_reads_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_loop, "_READ_SECONDS", 0.2)
    assert asyncio.run(closed_after(_large, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) < 10


def test_bodies_of_many_clients_have_a_limit_together() -> None:
    """Eight bodies of the largest size are held; the ninth is told to come again, and may when one is gone."""
    limits, metrics, refusals = Limits(max_bytes=100, timeout_s=60), Metrics(), []
    gone = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except HTTPException as error:
            refusals.append((error.status_code, error.headers))
            return
        while not gone:
            await asyncio.sleep(0.005)

    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 100, "more_body": False}

    async def clients() -> None:
        nonlocal gone
        guard = Guard(app, limits=limits, metrics=metrics, paths=frozenset())
        scope = {"type": "http", "path": "/", "headers": [(b"content-length", b"100")]}
        eight = [asyncio.create_task(guard(scope, body, _never)) for _ in range(8)]
        await asyncio.sleep(0.02)
        await guard(scope, body, _never)
        gone = True
        await asyncio.gather(*eight)
        await guard(scope, body, _never)

    asyncio.run(clients())
    assert refusals == [(503, {"retry-after": "1"})]
    assert b"thawline_held_bytes 0.0" in metrics.text()


def test_an_answer_that_takes_too_long_is_a_503() -> None:
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"abc"
        await asyncio.sleep(60)

    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"abc", "more_body": False}

    metrics = Metrics()
    guard = Guard(slow, limits=Limits(timeout_s=0.05), metrics=metrics, paths=frozenset({"/predict"}))
    scope = {"type": "http", "path": "/predict", "headers": [(b"content-length", b"3")]}
    asyncio.run(guard(scope, body, send))
    assert (sent[0]["status"], sent[1]["body"]) == (503, b'{"detail":"no answer within 0.05 s"}')
    assert b'thawline_requests_total{path="/predict",status="503"} 1.0' in metrics.text()


def test_bands_of_a_tiff_count_as_pixels() -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((10, 10, 30), dtype=np.float32), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UnreadableImage, match="1,000 pixels, allowed are 999"):  # as ten images of three bands
        check_size(file.getvalue(), name="x", max_pixels=999)
    check_size(file.getvalue(), name="x", max_pixels=1000)


def test_a_deflated_dicom_is_refused_before_it_is_inflated() -> None:
    pytest.importorskip("pydicom")
    data = b"\0" * 128 + b"DICM" + b"1.2.840.10008.1.2.1.99"
    with pytest.raises(UnreadableImage, match="deflated files are not served, as they may be of any size inside"):
        check_size(data, name="x", max_pixels=10)

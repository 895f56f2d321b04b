"""Between the network and the application: limits of bytes and time, and a count of every request."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thawline.deploy.serving_images import Limits
from thawline.deploy.serving_metrics import Metrics

_HELD_BODIES = 8  # bodies of the largest size that are held at once; more is answered with 503
_DRAINED = 4  # times max_bytes that are read and thrown away, so that a client still hears why it is refused
_GONE = 499  # status of a client that went away, in nginx's words; nobody reads it


class Guard:
    """ASGI middleware.

    Args:
        paths: Those that are counted under their names; any other is `other`, so that nobody can fill the counters.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, paths
        self._held = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        declared, endless = _body_size(scope)
        request = _Guarded(self._limits, receive, send, hold=self._hold, whole=not declared and not endless)
        try:
            if declared > (1 + _DRAINED) * self._limits.max_bytes:
                await _refuse(request, scope, 413, _too_large(self._limits))
            else:
                await self._answer_in_time(request, scope)
        finally:
            self._hold(-request.held)
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(path, str(request.status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - begun)

    async def _answer_in_time(self, request: "_Guarded", scope: Scope) -> None:
        seconds = self._limits.timeout_s
        try:
            await asyncio.wait_for(self._app(scope, request.receive, request.send), timeout=seconds)
        except (asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
            if request.status != _GONE:  # the answer began, and the client does not take it
                raise
            if request.whole:
                await _refuse(request, scope, 503, f"no answer within {seconds:g} s")
            else:
                await _refuse(request, scope, 408, f"the body did not arrive within {seconds:g} s")

    def _hold(self, number: int) -> bool:
        """Take or give back bytes; False where there is no room, and then none are taken."""
        if number > 0 and self._held + number > _HELD_BODIES * self._limits.max_bytes:
            return False
        self._held += number
        self._metrics.held.set(self._held)
        return True


@dataclass
class _Guarded:
    """The channels of one request.

    Attributes:
        held: Bytes of the body that arrived.
        whole: Whether all of the body arrived.
        status: Of the answer, once it begins.
    """

    limits: Limits
    source: Receive
    target: Send
    hold: Callable[[int], bool]
    whole: bool
    held: int = 0
    status: int = _GONE

    async def receive(self) -> Message:
        message = await self.source()
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        if self.held + size > self.limits.max_bytes:
            await self._drain(message)
            raise HTTPException(413, _too_large(self.limits))
        if not self.hold(size):
            raise HTTPException(503, "too many images at once; try again", {"retry-after": "1"})
        self.held += size
        self.whole = not message.get("more_body", False)
        return message

    async def _drain(self, message: Message) -> None:
        left = _DRAINED * self.limits.max_bytes
        while message["type"] == "http.request" and message.get("more_body", False) and left > 0:
            message = await self.source()
            left -= len(message.get("body", b""))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not self.whole:  # nobody reads the rest, which may have no end
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        await self.target(message)


async def _refuse(request: _Guarded, scope: Scope, status: int, detail: str) -> None:
    await JSONResponse({"detail": detail}, status)(scope, request.receive, request.send)


def _too_large(limits: Limits) -> str:
    return f"the body is larger than {limits.max_bytes:,} bytes"


def _body_size(scope: Scope) -> tuple[int, bool]:
    """The declared size of the body in bytes, 0 without one; and whether it comes in chunks, of any size."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0, "transfer-encoding" in headers

"""Between the network and the application: limits of bytes and time, and a count of every request."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thawline.deploy.serving_images import Limits
from thawline.deploy.serving_metrics import Metrics

_CLOSE = {"connection": "close"}  # the rest of the body is not read
_BUSY = {**_CLOSE, "retry-after": "1"}
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
        request = _Guarded(self._limits, receive, send, hold=self._hold)
        try:
            await self._answered(request, scope)
        finally:
            self._hold(-request.held)
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(path, str(request.status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - begun)

    async def _answered(self, request: "_Guarded", scope: Scope) -> None:
        try:
            await asyncio.wait_for(self._app(scope, request.receive, request.send), timeout=self._limits.timeout_s)
        except (asyncio.TimeoutError, TimeoutError):
            if request.status != _GONE:  # the answer began, and the client does not take it
                raise
            status, what = (503, "no answer") if request.whole else (408, "the body did not arrive")
            detail = {"detail": f"{what} within {self._limits.timeout_s:g} s"}
            await JSONResponse(detail, status, _CLOSE)(scope, request.receive, request.send)

    def _hold(self, number: int) -> bool:
        """Take or give back bytes; False where there is no room, and then none are taken."""
        if number > 0 and self._held + number > _HELD_BODIES * self._limits.max_bytes:
            return False
        self._held += number
        self._metrics.held.set(self._held)
        return True


@dataclass
class _Guarded:
    """The channels of one request."""

    limits: Limits
    source: Receive
    target: Send
    hold: Callable[[int], bool]
    held: int = 0  # bytes
    whole: bool = False  # whether all of the body arrived
    status: int = field(default=_GONE)  # until the answer begins

    async def receive(self) -> Message:
        message = await self.source()
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        if self.held + size > self.limits.max_bytes:
            await self._drain(message)
            raise HTTPException(413, f"the body is larger than {self.limits.max_bytes:,} bytes", _CLOSE)
        if not self.hold(size):
            raise HTTPException(503, "too many images at once; try again", _BUSY)
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
        await self.target(message)

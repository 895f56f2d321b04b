"""The server process: its socket, its signals, and clients that never finish what they began to say."""

import asyncio
import errno
import logging
import signal
import socket
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from thawline.errors import UserError

HEAD_SECONDS = 10.0  # for the head of a request, from its first byte, or from the connection on
_CONNECTIONS = 256  # at once; more are answered with 503. Chosen: below the 1,024 files that a process may open
_READ_SECONDS = 10.0  # for a client to take what was sent to it
_KEEP_ALIVE_SECONDS = 15  # that a silent connection stays open after an answer
_END_SECONDS = 10  # for requests that are being answered when the server ends
_BACKLOG = 128  # connections that the system holds back
_ADDRESSES = "127.0.0.1 is this machine alone, 0.0.0.0 all its networks"


class TimedProtocol(H11Protocol):
    """HTTP/1.1 that gives up a client which does not send the head of a request, or does not read, in time.

    Uvicorn waits for both for ever. The body in between is the guard's.
    """

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head is there
            self._stop_watch()
        elif self._overdue is None:  # a part of the next head
            self._watch(HEAD_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(_READ_SECONDS)

    def resume_writing(self) -> None:
        self._stop_watch()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watch()
        super().connection_lost(exc)

    def _watch(self, seconds: float) -> None:
        self._stop_watch()
        self._overdue = self.loop.call_later(seconds, self.transport.abort)

    def _stop_watch(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        UserError: The port is in use or not permitted, or there is no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"--host {host}: no such address; 127.0.0.1 is this machine, 0.0.0.0 all its networks"
        ) from error
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a port stays taken for a minute after use
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise UserError(_cannot_listen(host, port, error)) from error
    return opened


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: in use on {host}; give another, or --port 0 for a free one"
    if error.errno == errno.EACCES:
        return f"--port {port}: not permitted; give one from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host}: no address of this machine; {_ADDRESSES}"
    return f"--port {port}: cannot listen on {host}: {error.strerror or error}"


def address_of(opened: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, opened: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM; what is being answered then is finished."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a stranger's bad request is no news; defects are
    settings: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "ws": "none"}
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=TimedProtocol,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_END_SECONDS,
            **settings,
        )
    )

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # Uvicorn raises a signal again after its orderly end; with these handlers that does no harm.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[opened])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

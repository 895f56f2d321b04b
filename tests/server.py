"""The server of a model in a process of its own, and clients for it: good ones here, bad ones in the tests."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "serve.py"
_START_SECONDS = 120  # on a busy machine


@dataclass
class Server:
    """A server that runs.

    Attributes:
        said: Lines that it printed before it answered.
    """

    process: subprocess.Popen[str]
    host: str
    port: int
    said: list[str]

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status, and the parsed JSON, or the bytes of an answer that is none."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(content) if is_json else content

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=60)

    def metric(self, name: str) -> float:
        """The sum of a counter over its labels."""
        lines = self.ask("GET", "/metrics")[1].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


@contextlib.contextmanager
def serving(run: Path, *options: str) -> Iterator[Server]:
    """Serve a run on a free port while the block lasts."""
    command = [sys.executable, str(SCRIPT), str(run), "--port", "0", "--accelerator", "cpu", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    late = threading.Timer(_START_SECONDS, process.kill)
    late.start()
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith("serving"):
                break
        else:
            raise AssertionError(f"no server: {said} {process.communicate()[1]}")
        late.cancel()
        host, _, port = said[-1].split()[1].removeprefix("http://").rpartition(":")
        yield Server(process, host, int(port), said)
    finally:
        late.cancel()
        process.kill()
        process.communicate()


def form(files: list[tuple[str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of multipart/form-data."""
    line = uuid.uuid4().hex
    parts = [
        f'--{line}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{line}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={line}"}

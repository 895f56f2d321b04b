"""A web server on the loopback that holds files in memory, answers ranges of them, and fails as it is told to."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Bucket:
    """What it holds and how it answers.

    Attributes:
        files: Path, without its first slash -> content.
        failing: Statuses of the next answers, taken from the front; 0 closes the connection in the middle.
        delay_s: Before each answer.
        ranges: Whether it gives parts of files.
        token: That a request must bring as `Authorization: Bearer TOKEN`; empty for none.
        asked: (path, first byte) of every GET that it answered; the first byte is None for a whole file.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    failing: list[int] = field(default_factory=list)
    delay_s: float = 0.0
    ranges: bool = True
    token: str = ""
    url: str = ""
    asked: list[tuple[str, int | None]] = field(default_factory=list)


@contextlib.contextmanager
def served() -> Iterator[Bucket]:
    """Serve while the block lasts."""
    bucket = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(bucket))
    bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()


def _handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            time.sleep(bucket.delay_s)
            path = self.path.partition("?")[0].strip("/")
            status = bucket.failing.pop(0) if bucket.failing else 200
            if bucket.token and self.headers.get("Authorization") != f"Bearer {bucket.token}":
                status = 401
            if path in ("", "shards") and status == 200:
                links = "".join(f'<a href="{bucket.url}/{name}">{name}</a>' for name in bucket.files)
                self.send(200, links.encode(), body=body)
            elif status == 200 and path not in bucket.files:
                self.send(404, b"", body=body)
            elif status in (200, 0):
                self.send_file(path, body=body, broken=status == 0)
            else:
                self.send(status, b"", body=body)

        def send_file(self, path: str, *, body: bool, broken: bool) -> None:
            data = bucket.files[path]
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if bucket.ranges else None
            if body:
                bucket.asked.append((path, int(wanted[1]) if wanted else None))
            if wanted:
                last = min(int(wanted[2] or len(data)), len(data) - 1)
                self.send(206, data[int(wanted[1]) : last + 1], body=body, broken=broken)
            else:
                self.send(200, data, body=body, broken=broken)

        def send(self, status: int, content: bytes, *, body: bool, broken: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hash(content)}"' if status == 200 else '"part"')
            self.end_headers()
            if body:
                self.wfile.write(content[: len(content) // 2] if broken else content)

        def log_message(self, *_: object) -> None:
            return

    return Handler

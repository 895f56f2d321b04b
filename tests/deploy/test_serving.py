"""The real server, in a process: it answers as `Model.predict` does, in batches, and no client can stop it."""

import io
import json
import re
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image
from server import Server, form, serving

import thawline
from thawline.deploy.serving_docs import routes_page
from thawline.deploy.serving_explain import can_explain

Made = Callable[[str], Path]
TIMEOUT = 2.0  # seconds, of the server under test


@pytest.fixture(scope="module")
def server(made: Made) -> Iterator[Server]:
    small = ("--max-mb", "1", "--max-megapixels", "1", "--timeout", str(TIMEOUT), "--wait-ms", "20")
    with serving(made("stacked_probe"), *small) as one:
        yield one


@pytest.fixture(scope="module")
def paths(colour_folder: Path) -> list[Path]:
    return sorted((colour_folder / "test").glob("*/*.png"))


@pytest.fixture(scope="module")
def model(made: Made) -> thawline.Model:
    return thawline.load(made("stacked_probe"), accelerator="cpu")


def healthy(server: Server, image: bytes) -> bool:
    """Whether it still lives and answers."""
    status, body = server.ask("POST", "/predict", image)
    return server.process.poll() is None and status == 200 and body["predictions"][0]["label"] is not None


def test_answers_are_those_of_predict(server: Server, model: thawline.Model, paths: list[Path]) -> None:
    expected = model.predict(paths, top=2)
    body, headers = form([(str(path), path.read_bytes()) for path in paths])
    status, answer = server.ask("POST", "/predict?top=2", body, headers)
    assert status == 200
    for got, wanted in zip(answer["predictions"], expected, strict=True):
        fields = asdict(wanted)
        top = [(one["label"], pytest.approx(one["probability"], abs=1e-5)) for one in got["top"]]
        assert list(wanted.top) == top
        assert set(fields) == set(got)
        for name in ("path", "label", "error"):
            assert got[name] == fields[name]
        for name in ("probability", "entropy", "unknown_score"):
            assert got[name] == pytest.approx(fields[name], abs=1e-4)


def test_one_image_as_the_body(server: Server, model: thawline.Model, paths: list[Path]) -> None:
    (expected,) = model.predict(paths[0])
    status, answer = server.ask("POST", "/predict", paths[0].read_bytes(), {"content-type": "image/png"})
    assert (status, answer["predictions"][0]["label"]) == (200, expected.label)
    assert answer["predictions"][0]["path"] == ""


def test_damage_is_a_row_and_alone_a_422(server: Server, paths: list[Path]) -> None:
    good = paths[0].read_bytes()
    body, headers = form([("good.png", good), ("bad.png", good[:60]), ("not.txt", b"words")])
    status, answer = server.ask("POST", "/predict", body, headers)
    assert status == 200
    assert [one["error"] is None for one in answer["predictions"]] == [True, False, False]
    assert answer["predictions"][1]["error"].startswith("unreadable image bad.png: ")
    status, answer = server.ask("POST", "/predict", good[:60])
    assert status == 422
    assert answer["predictions"][0]["error"].startswith("unreadable image body: ")


def test_requests_that_come_together_are_computed_together(server: Server, paths: list[Path]) -> None:
    images, batches = server.metric("thawline_batch_size_sum"), server.metric("thawline_batch_size_count")
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda path: server.ask("POST", "/predict", path.read_bytes()), [*paths, *paths]))
    assert {status for status, _ in answers} == {200}
    num_images = server.metric("thawline_batch_size_sum") - images
    assert num_images == 2 * len(paths)
    assert server.metric("thawline_batch_size_count") - batches < num_images / 2
    assert [one["predictions"][0]["label"] for _, one in answers[: len(paths)]] == [
        one["predictions"][0]["label"] for _, one in answers[len(paths) :]
    ]  # nobody gets the answer to the image of another


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header says more pixels than anybody wants, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def eps() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "EPS")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bomb(1001, 1000), "1,001,000 pixels, allowed are 1,000,000"),
        (bomb(60_000, 60_000), "pixels|bomb"),  # Pillow itself refuses it first
        (b"\x00" * 1000, "not an image of a kind that is served"),
        (eps(), "not an image of a kind that is served"),  # Pillow would start Ghostscript
        (b"\xff\xd8\xff\xe0" + b"\x00" * 50, ""),
        (b"II*\x00" + b"\xff" * 50, ""),
        (b"\x00" * 128 + b"DICM" + b"\xff" * 50, ""),
        (b"\x00\x00\x00\x18ftypheic" + b"\xff" * 50, ""),
    ],
    ids=["pixels", "bomb", "zeros", "eps", "jpeg", "tiff", "dicom", "heic"],
)
def test_what_is_no_image_is_told_and_does_no_harm(server: Server, paths: list[Path], data: bytes, reason: str) -> None:
    status, answer = server.ask("POST", "/predict", data)
    assert status == 422
    assert re.search(reason, answer["predictions"][0]["error"])
    assert healthy(server, paths[0].read_bytes())


def said(connection: socket.socket) -> bytes:
    """All that the server sends until it closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


HEAD = "POST /predict HTTP/1.1\r\nHost: x\r\n"
FORM = "Content-Type: multipart/form-data\r\n"
BOUNDED = "Content-Type: multipart/form-data; boundary=b\r\n"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n", b"400"),
        (f"{HEAD}Content-Length: many\r\n\r\n".encode(), b"400"),
        (f"{HEAD}X-A: {'a' * 66_000}\r\n\r\n".encode(), b"400"),  # a little above h11's limit of 65,536
        (f"{HEAD}Connection: close\r\nContent-Length: 0\r\n\r\n".encode(), b"400"),
        (
            f"{HEAD}Connection: close\r\nContent-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc".encode(),
            b"400",
        ),
        (f"{HEAD}Connection: close\r\n{BOUNDED}Content-Length: 9\r\n\r\nno form!!".encode(), b"400"),
        (f"{HEAD}Connection: close\r\n{BOUNDED}Content-Length: 7\r\n\r\n--b--\r\n".encode(), b"400"),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzzzz\r\n".encode(), b""),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n", b"200"),
    ],
    ids=["no-http", "length", "head", "empty", "boundary", "form", "no-file", "chunks", "path", "websocket"],
)
def test_malformed_requests_are_refused(server: Server, paths: list[Path], sent: bytes, answer: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        assert said(connection).startswith(b"HTTP/1.1 " + answer if answer else b"")
    assert healthy(server, paths[0].read_bytes())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused_and_the_client_hears_why(server: Server, paths: list[Path], chunked: bool) -> None:
    piece = b"x" * 500_000
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {4 * len(piece)}"
    with server.connect() as connection:
        connection.sendall(f"{HEAD}{how}\r\n\r\n".encode())
        for _ in range(4):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        answer = said(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the body is larger than 1,048,576 bytes" in answer
    assert healthy(server, paths[0].read_bytes())


def test_a_body_that_never_ends_is_cut_off(server: Server, paths: list[Path]) -> None:
    """A declared terabyte is refused before any of it is read; chunks without end are cut off."""
    with server.connect() as connection:
        connection.sendall(f"{HEAD}Content-Length: {10**12}\r\n\r\n".encode())
        assert said(connection).startswith(b"HTTP/1.1 413 ")
    with server.connect() as connection:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"186a0\r\n%s\r\n" % (b"x" * 100_000)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(chunk * 1000)  # 100 MB
    assert server.metric("thawline_held_bytes") == 0
    assert healthy(server, paths[0].read_bytes())


def test_a_head_that_never_ends_is_cut_off(server: Server, paths: list[Path]) -> None:
    with server.connect() as connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall(f"{HEAD}X-A: {'a' * 100_000_000}".encode())
    assert healthy(server, paths[0].read_bytes())


def test_a_body_that_no_route_wants_is_not_read_for_ever(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert said(connection).startswith(b"HTTP/1.1 200 ")  # and it closes


def test_too_many_files_are_refused(server: Server, paths: list[Path]) -> None:
    image = paths[0].read_bytes()
    body, headers = form([("a.png", image)] * 33)
    status, answer = server.ask("POST", "/predict", body, headers)
    assert (status, answer["detail"]) == (400, "Too many files. Maximum number of files is 32.")
    assert healthy(server, image)


def test_a_slow_body_is_cut_off_in_time_and_others_are_answered_meanwhile(server: Server, paths: list[Path]) -> None:
    image, begun = paths[0].read_bytes(), time.monotonic()
    with server.connect() as slow:
        slow.sendall(f"{HEAD}Content-Length: {len(image)}\r\n\r\n".encode())
        slow.sendall(image[:10])
        assert healthy(server, image)
        answer = said(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 2 s" in answer
    assert TIMEOUT * 0.9 < time.monotonic() - begun < TIMEOUT + 5


def test_half_sent_requests_leave_nothing_behind(server: Server, paths: list[Path]) -> None:
    image = paths[0].read_bytes()
    for part in (b"", b"POST /pre", f"{HEAD}Content-Length: {len(image)}\r\n\r\n".encode() + image[:50]):
        for _ in range(20):
            with server.connect() as connection:
                connection.sendall(part)
    assert healthy(server, image)
    deadline = time.monotonic() + 10
    while server.metric("thawline_held_bytes") > 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.metric("thawline_held_bytes") == 0


def test_a_client_that_does_not_wait_for_its_answer(server: Server, paths: list[Path]) -> None:
    image = paths[0].read_bytes()
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(f"{HEAD}Content-Length: {len(image)}\r\n\r\n".encode() + image)
    assert healthy(server, image)


def test_other_paths_are_counted_together(server: Server) -> None:
    for number in range(5):
        assert server.ask("GET", f"/secret{number}")[0] == 404
    text = server.ask("GET", "/metrics")[1].decode()
    assert "secret" not in text
    assert re.search(r'thawline_requests_total\{path="other",status="404"\} [5-9]', text)
    assert "# TYPE thawline_batch_size histogram" in text


def test_health_model_and_openapi_tell_about_it(server: Server) -> None:
    assert server.ask("GET", "/health")[1]["status"] == "ok"
    about = server.ask("GET", "/model")[1]
    assert about["class_names"] == ["blue", "green", "red"]
    assert (about["max_bytes"], about["max_pixels"], about["explain"]) == (1 << 20, 1_000_000, can_explain())
    described = server.ask("GET", "/openapi.json")[1]
    assert set(described["paths"]) == {"/predict", "/explain", "/model", "/health", "/metrics"}
    body = described["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"image/*", "multipart/form-data"}
    assert "unknown_score" in json.dumps(described["components"]["schemas"]["Answer"])
    assert server.ask("POST", "/predict?top=0", b"x")[1] == {
        "detail": "top: Input should be greater than or equal to 1"
    }


def test_docs_lists_the_routes_and_loads_nothing(server: Server) -> None:
    status, page = server.ask("GET", "/docs")
    text = page.decode()
    assert status == 200
    for method, path in (("POST", "/predict"), ("POST", "/explain"), ("GET", "/model"), ("GET", "/metrics")):
        assert f"<code>{method} {path}</code>" in text
    for told in (
        "Classes of one image",
        "?top=: default 5",
        "?label=: A class of the model, required",
        "503: Too busy",
    ):
        assert told in text
    assert "body: image/* or multipart/form-data" in text
    assert 'href="openapi.json"' in text
    assert not re.search(r"<script|src=|https?://", text)


def test_docs_escapes_what_it_shows() -> None:
    api = {"info": {"title": "Thawline", "description": "stack of x for <b>&"}, "paths": {}}
    assert "stack of x for &lt;b&gt;&amp;." in routes_page(api)


def test_a_heatmap_is_a_picture_of_what_the_model_saw(server: Server, paths: list[Path]) -> None:
    image = paths[0].read_bytes()
    status, answer = server.ask("POST", "/explain?label=red", image)
    if can_explain():
        assert status == 200
        assert Image.open(io.BytesIO(answer)).size == (32, 32)
        assert server.ask("POST", "/explain?label=violet", image)[0] == 400
        assert server.ask("POST", "/explain?label=red", image[:60])[0] == 422
        assert server.ask("POST", "/explain?label=red", *form([("a", image), ("b", image)]))[0] == 400
    else:
        assert (status, answer) == (501, {"detail": "this version of Thawline makes no heatmaps"})


def test_nothing_of_all_this_was_a_defect(server: Server) -> None:
    """Stands last: no request of the tests above made the server fail."""
    text = server.ask("GET", "/metrics")[1].decode()
    assert not re.search(r'status="500"', text)

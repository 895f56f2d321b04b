"""The command: it ends in order, and tells what is wrong in one line."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from server import SCRIPT, form, serving

from thawline.commands import serve
from thawline.report.run_record import RECORD_FILE, load_record

Refused = Callable[..., str]


@pytest.fixture
def served_run(made: Callable[[str], Path]) -> Path:
    return made("stacked_probe")


@pytest.fixture
def image(colour_folder: Path) -> bytes:
    return (colour_folder / "test" / "red" / "0.png").read_bytes()


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder that looks like a model's from outside."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    return folder


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line that a command ends with."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["serve.py", *map(str, arguments)])
        assert serve.main() == 2
        out, err = capsys.readouterr()
        assert [line[:8] for line in out.splitlines()] in ([], ["loading "])
        assert err.count("\n") == 1
        return err.removeprefix("error: ").strip()

    return run


def test_a_port_in_use_is_one_line(refused: Refused, model_folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refused(model_folder, "--port", port)
    assert line == f"--port {port}: in use on 127.0.0.1; give another, or --port 0 for a free one"


def test_wrong_values_and_folders_are_one_line(refused: Refused, model_folder: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none").endswith("give the folder of a completed run, or a model folder")
    (tmp_path / "empty").mkdir()
    assert "holds no model/model.json" in refused(tmp_path / "empty")
    assert refused(model_folder, "--port", 70000) == "--port 70000: allowed are 0 to 65535"
    assert refused(model_folder, "--batch-size", 33) == "--batch-size 33: allowed are 1 to 32"
    assert refused(model_folder, "--timeout", "nan") == "--timeout nan: allowed are 1 to 3600"
    assert "host.invalid: no such address" in refused(model_folder, "--host", "host.invalid")
    assert refused(model_folder, "--host", "192.0.2.1").startswith("--host 192.0.2.1: no address of this machine")
    assert "no schema" in refused(model_folder, "--port", 0)  # an empty description


def test_a_run_without_a_model_says_why(refused: Refused, served_run: Path, tmp_path: Path) -> None:
    replace(load_record(served_run / RECORD_FILE), status="failed").save(tmp_path)
    assert "the run is failed; a model is written when a run completes" in refused(tmp_path)


def test_a_missing_extra_is_one_line_with_the_command(
    refused: Refused, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else object())
    line = refused(model_folder)
    assert line == 'serving takes more packages (uvicorn is missing): pip install "thawline[serve]"'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_order_after_what_is_being_answered(
    served_run: Path, image: bytes, number: signal.Signals
) -> None:
    with serving(served_run) as server, server.connect() as connection:
        assert server.host == "127.0.0.1"
        assert server.said[0] == f"loading  {served_run}, and a first batch of 32 images"
        assert len(server.said) == 3
        body, headers = form([("a.png", image)])
        lines = "POST /predict HTTP/1.1", "Host: x", f"Content-Type: {headers['content-type']}"
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        connection.sendall(head.encode() + body[:100])
        assert server.ask("GET", "/health")[0] == 200
        server.process.send_signal(number)
        connection.sendall(body[100:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        out, err = server.process.communicate(timeout=60)
        assert (server.process.returncode, out, err) == (0, "stopped\n", "")


@pytest.mark.slow
def test_two_servers_of_one_folder_and_all_networks(served_run: Path, image: bytes) -> None:
    with serving(served_run) as one, serving(served_run / "model", "--host", "0.0.0.0") as other:
        answers = [server.ask("POST", "/predict", image) for server in (one, other)]
        assert answers[0] == answers[1]
        assert [line for line in one.said + other.said if "there is no password" in line] == [other.said[2]]
        other.process.send_signal(signal.SIGINT)
        assert other.process.wait(60) == 0
        assert one.ask("GET", "/health")[0] == 200


@pytest.mark.slow
def test_serving_imports_neither_lightning_nor_hydra(served_run: Path) -> None:
    code = f"""
import sys
sys.argv = ["serve.py", {str(served_run)!r}, "--port", "0", "--accelerator", "cpu"]
from thawline.commands.serve import main
import thawline.deploy.serving_loop as loop
loop.serve = lambda app, opened: None
assert main() == 0
heavy = {{"lightning", "hydra", "omegaconf", "torchmetrics"}}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & heavy))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_help_needs_no_heavy_import() -> None:
    code = f"""
import runpy, sys
sys.argv = ["serve.py", "--help"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit:
    print(sorted({{"torch", "fastapi", "hydra"}} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
    assert re.search(r"curl --data-binary @cat\.jpg", out)

"""Make the README's pictures: the terminal of one run, TensorBoard comparing the depths of a sweep, a depth profile.

    python scripts/evidence/screenshots.py outputs/multirun/SWEEP

Needs Chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
"""

import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
COLUMNS = 92  # of the pictured terminal
TAGS = "val/|train/loss|fit_s|test/acc|activation"  # charts shown, as TensorBoard's filter
RUN = ("train.py", "scenario=small_different", "trainer.max_epochs=5")
START_SECONDS = 60  # TensorBoard's time to answer
RENDER_SECONDS = 15  # the page's time to draw its charts


def main() -> None:
    """Write docs/terminal.png, docs/depth_profile.png and docs/tensorboard.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sweep", type=Path, help="folder of a depth sweep, such as outputs/multirun/2026-01-31_12-00-00"
    )
    sweep = parser.parse_args().sweep
    if shutil.which("chromedriver") is None:
        sys.exit("error: no chromedriver on the PATH; install it (Debian: apt-get install chromium-driver)")
    if not any(sweep.rglob("events.out.tfevents.*")):
        sys.exit(f"error: {sweep} holds no TensorBoard events; give the folder of a finished sweep")
    DOCS.mkdir(exist_ok=True)
    terminal(DOCS / "terminal.png")
    depth_profile(DOCS / "depth_profile.png")
    with tensorboard(sweep) as address:
        page = f"{address}/?tagFilter={quote(TAGS, safe='')}&smoothing=0&darkMode=false#timeseries"
        screenshot(page, DOCS / "tensorboard.png", size=(1700, 1110))


def terminal(target: Path) -> None:
    """Run one scenario and picture what it prints."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, *RUN], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(f"$ python {' '.join(RUN)}\n{done.stdout}"))
    with tempfile.TemporaryDirectory() as folder:
        svg = Path(folder, "terminal.svg")
        console.save_svg(str(svg), title="Thawline")
        lines = done.stdout.count("\n") + 1
        screenshot(svg.as_uri(), target, size=(1160, int(24.4 * lines) + 130))


def depth_profile(target: Path) -> None:
    """The figure of the advice on solar cells."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "scripts/advise.py", "data=solar_cells", f"output_dir={folder}"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        (figure,) = Path(folder).rglob("depth_profile.png")
        shutil.copyfile(figure, target)
    print(target)


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free port while the block runs; yields the address."""
    port = _free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield from _when_up(f"http://127.0.0.1:{port}", "/data/runs", "TensorBoard")
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _when_up(address: str, path: str, name: str) -> Iterator[str]:
    """Yield the address once the server answers with more than an empty list."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=2) as response:
                if len(response.read()) > len("[]"):
                    yield address
                    return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit(f"error: {name} did not answer within {START_SECONDS} s")


def screenshot(address: str, target: Path, *, size: tuple[int, int]) -> None:
    """Picture a page of `size` (width, height) pixels, once it had time to draw, through chromedriver."""
    with tempfile.TemporaryDirectory() as profile, _chromedriver() as driver:
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
        flags += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": flags}}}}
        session = f"{driver}/session/{_webdriver(f'{driver}/session', wanted)['sessionId']}"
        try:
            _webdriver(f"{session}/url", {"url": address})
            time.sleep(RENDER_SECONDS)
            target.write_bytes(base64.b64decode(_webdriver(f"{session}/screenshot")))
        finally:
            urllib.request.urlopen(urllib.request.Request(session, method="DELETE")).close()
    print(target)


@contextmanager
def _chromedriver() -> Iterator[str]:
    port = _free_port()
    server = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        yield from _when_up(f"http://127.0.0.1:{port}", "/status", "chromedriver")
    finally:
        server.terminate()
        server.wait()


def _webdriver(address: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the WebDriver protocol (W3C): POST with a body, GET without."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data)) as response:
        return json.load(response)["value"]


if __name__ == "__main__":
    main()

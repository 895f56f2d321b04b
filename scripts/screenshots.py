"""Make the README's pictures from a real sweep: the terminal of one run, and TensorBoard comparing its depths.

    python scripts/screenshots.py outputs/multirun/SWEEP

Needs Chromium on the PATH (Debian: apt-get install chromium).
"""

import argparse
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
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COLUMNS = 92  # of the pictured terminal
TAGS = "val/|train/loss|fit_s|test/acc|activation"  # charts shown, as TensorBoard's filter
RUN = ("train.py", "scenario=small_different", "trainer.max_epochs=5")
START_SECONDS = 60  # TensorBoard's time to answer
RENDER_MILLISECONDS = 40_000  # the page's time to draw its charts


def main() -> None:
    """Write docs/terminal.png and docs/tensorboard.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sweep", type=Path, help="folder of a depth sweep, such as outputs/multirun/2026-01-31_12-00-00"
    )
    sweep = parser.parse_args().sweep
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("error: no Chromium on the PATH; install it (Debian: apt-get install chromium)")
    if not any(sweep.rglob("events.out.tfevents.*")):
        sys.exit(f"error: {sweep} holds no TensorBoard events; give the folder of a finished sweep")
    DOCS.mkdir(exist_ok=True)
    terminal(chromium, DOCS / "terminal.png")
    with tensorboard(sweep) as address:
        page = f"{address}/?tagFilter={quote(TAGS, safe='')}&smoothing=0&darkMode=false#timeseries"
        screenshot(chromium, page, DOCS / "tensorboard.png", size=(1700, 1110))


def terminal(chromium: str, target: Path) -> None:
    """Run one scenario and picture what it prints."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run([sys.executable, *RUN], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(f"$ python {' '.join(RUN)}\n{done.stdout}"))
    with tempfile.TemporaryDirectory() as folder:
        svg = Path(folder, "terminal.svg")
        console.save_svg(str(svg), title="Thawline")
        lines = done.stdout.count("\n") + 1
        screenshot(chromium, svg.as_uri(), target, size=(1160, int(24.4 * lines) + 130))


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free port while the block runs; yields the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"{address}/data/runs"):
            if time.monotonic() > deadline:
                sys.exit(f"error: TensorBoard did not answer within {START_SECONDS} s")
            time.sleep(1)
        yield address
    finally:
        server.terminate()
        server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return len(response.read()) > len("[]")
    except OSError:
        return False


def screenshot(chromium: str, address: str, target: Path, *, size: tuple[int, int]) -> None:
    """Picture a page of `size` (width, height) pixels."""
    with tempfile.TemporaryDirectory() as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
        ]
        options += ["--no-first-run", "--disable-sync", "--disable-component-update", "--disable-quic"]
        options += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", f"--screenshot={target}"]
        options += [f"--virtual-time-budget={RENDER_MILLISECONDS}", address]
        subprocess.run([chromium, *options], check=True, capture_output=True, timeout=180)
    print(target)


if __name__ == "__main__":
    main()

"""Load test of the server on the loopback: images a second, and times of 1, 8 and 32 clients, beside `Model.predict`.

    python scripts/evidence/serve_load.py RUN IMAGES --out docs/serve.json

Prints the table of docs/serve.md. Every client sends one image after another over one connection. The clients share the
cores with the server, which costs it more than clients elsewhere would.
"""

import argparse
import contextlib
import http.client
import json
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

from thawline.deploy.loaded import load
from thawline.machine.processes import num_cores

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = (1, 8, 32)
REQUESTS = 600  # of each number of clients
WARM_UP = 32  # requests before them
START_SECONDS = 120
PREDICT_ROUNDS = 3  # the fastest counts: what else runs only slows


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a completed run")
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--out", type=Path, help="write JSON here")
    given = parser.parse_args()
    paths = sorted(path for path in given.images.rglob("*") if path.is_file())
    if not paths:
        sys.exit(f"error: {given.images}: holds no files")
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": f"{num_cores()} cores, {platform.machine()}"}
    result["images"], result["model"] = len(paths), load(given.run).description.architecture.backbone
    result["predict_images_per_s"] = predict_rate(given.run, paths)
    with serving(given.run) as address:
        drive(address, paths, clients=1, requests=WARM_UP)
        result["serve"] = [drive(address, paths, clients=number, requests=REQUESTS) for number in CLIENTS]
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))


def predict_rate(run: Path, paths: Sequence[Path]) -> float:
    """Images a second of `Model.predict`, reading the files included; the fastest of a few rounds."""
    model, times = load(run), []
    for _ in range(PREDICT_ROUNDS):
        begun = time.perf_counter()
        model.predict(paths)
        times.append(time.perf_counter() - begun)
    return len(paths) / min(times)


@contextlib.contextmanager
def serving(run: Path, *options: str) -> Iterator[str]:
    """The address of a server of the run, in a process of its own."""
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), str(run), "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    late = threading.Timer(START_SECONDS, server.kill)
    late.start()
    try:
        assert server.stdout is not None
        said = next((line for line in iter(server.stdout.readline, "") if line.startswith("serving")), None)
        if said is None:
            sys.exit("error: the server did not start")
        late.cancel()
        yield said.split()[1]
    finally:
        late.cancel()
        server.terminate()
        server.wait()


def drive(address: str, paths: Sequence[Path], *, clients: int, requests: int) -> dict[str, float]:
    """Send `requests` images through so many clients at once; every one must be answered."""
    bodies = [path.read_bytes() for path in paths]
    each = requests // clients

    def client(number: int) -> list[float]:
        connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=60)
        times = []
        for index in range(each):
            begun = time.perf_counter()
            connection.request("POST", "/predict", bodies[(number * each + index) % len(bodies)])
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            times.append(1000 * (time.perf_counter() - begun))
        connection.close()
        return times

    before, begun = batches(address), time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        times = [one for per_client in threads.map(client, range(clients)) for one in per_client]
    took, after = time.perf_counter() - begun, batches(address)
    cuts = quantiles(times, n=100)
    mean_batch = (after[0] - before[0]) / (after[1] - before[1])
    return {
        "clients": clients, "requests": len(times), "images_per_s": len(times) / took,
        "p50_ms": cuts[49], "p99_ms": cuts[98], "mean_batch": mean_batch,
    }  # fmt: skip


def batches(address: str) -> tuple[float, float]:
    """Images and batches that the server computed, from its /metrics."""
    connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    values = dict(line.split(" ") for line in lines if line.startswith("thawline_batch_size_") and "{" not in line)
    return float(values["thawline_batch_size_sum"]), float(values["thawline_batch_size_count"])


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    rows = [
        f"| {one['clients']} | {one['images_per_s']:.0f} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | "
        f"{one['mean_batch']:.1f} |"
        for one in result["serve"]
    ]
    head = ["| clients | images/s | p50, ms | p99, ms | images a batch |", "|---:|---:|---:|---:|---:|"]
    offline = f"`Model.predict` on the same {result['images']} files: {result['predict_images_per_s']:.0f} images/s."
    return "\n".join([*head, *rows, "", offline, f"{result['model']}, {result['machine']}, {result['date']}."])


if __name__ == "__main__":
    main()

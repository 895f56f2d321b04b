"""Kill a run with SIGKILL at random moments, go on with it each time, and compare its end with that of a whole run.

    python scripts/evidence/kill_loop.py 200 --out DIR      # needs Linux

The run trains all of a small network for 12 epochs on 24 images. A kill comes between the first moment at which the run
writes to its folder and its end. After each one every file that stands under its name must be whole. A run that
completes is compared bit for bit (weights, optimizer, metrics) with one that nobody killed; then the next one begins.

The run that nobody kills is started as a user starts it. A process to be killed is forked from this one, which has
imported what a run imports and computed nothing: it begins to work at once, so 200 kills take minutes.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.001
_SAID = "said.txt"  # what a forked run said last
_IMPORTED = ("thawline.commands.train", "thawline.runs.run", "sklearn.metrics", "sklearn.model_selection")
_IMAGES = 12  # of each of two classes
_SMALL = (
    "strategy=full_fine_tune", "trainer.max_epochs=12", "model.name=test_resnet", "model.weights=none",
    "model.image_size=32", "data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu", "data=folder",
)  # fmt: skip


def make_images(folder: Path) -> Path:
    """Class folders `a` and `b` of noise, 32 x 32 pixels."""
    noise = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(_IMAGES):
            pixels = noise.integers(0, 200, (32, 32, 3)) + (50 if name == "b" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


def command(run: Path, images: Path) -> list[str]:
    """What Python is given to begin the run, or to go on with it where it has a checkpoint."""
    start = [str(ROOT / "train.py")]
    if (run / "checkpoints" / "last.ckpt").is_file():
        return [*start, f"resume={run}", f"output_dir={run.parent}"]
    where = (f"output_dir={run.parent}", f"hydra.run.dir={run}", f"cache.dir={run.parent}/cache")
    return [*start, *_SMALL, "threads=1", f"data.root={images}", *where]


def run_whole(run: Path, images: Path) -> None:
    """Run to the end, in a process of its own."""
    subprocess.run([sys.executable, *command(run, images)], stdout=subprocess.DEVNULL, cwd=run.parent, check=True)


def import_all() -> None:
    """What a run imports, so that forked processes need not."""
    for name in _IMPORTED:
        importlib.import_module(name)


def run_for(run: Path, images: Path, seconds: float | None) -> tuple[int, float]:
    """Run, and kill it some seconds after it began to write; its exit code, and its seconds from then."""
    record, before = run / "run.json", _written(run / "run.json")
    process = multiprocessing.get_context("fork").Process(target=_train, args=(command(run, images), run.parent))
    process.start()
    while process.is_alive() and _written(record) == before:
        time.sleep(_POLL_S)
    begun = time.perf_counter()
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"exit code {process.exitcode}: {(run.parent / _SAID).read_text(errors='replace')}")
    return process.exitcode, time.perf_counter() - begun


def _train(arguments: list[str], folder: Path) -> None:
    """`python train.py ...` in this process, which was forked; what it says goes to a file in `folder`."""
    os.chdir(folder)
    said = os.open(_SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv[:] = arguments
    raise SystemExit(importlib.import_module("thawline.commands.train").main())


def _written(path: Path) -> int:
    """When the file was written, in ns; 0 where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


def _status(run: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return str(json.loads((run / "run.json").read_text())["status"])
    return "not begun"


def refuse_halves(run: Path) -> None:
    """Raises where a file that stands under its name is not whole."""
    if (run / "run.json").is_file():
        json.loads((run / "run.json").read_text())
    for path in run.glob("checkpoints/*.ckpt"):
        torch.load(path, weights_only=True)


def end_of(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of the checkpoints by name, and the metrics."""
    tensors: dict[str, Any] = {}
    for path in sorted(run.glob("checkpoints/*.ckpt")):
        body = torch.load(path, weights_only=True)
        _collect(body["state_dict"], path.name, tensors)
        _collect(body.get("optimizer_states", []), f"{path.name} optimizer", tensors)
    metrics: dict[str, Any] = json.loads((run / "run.json").read_text())["metrics"]
    return tensors, metrics


def _collect(value: Any, name: str, tensors: dict[str, Any]) -> None:
    if isinstance(value, torch.Tensor):
        tensors[name] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(item, f"{name}.{key}", tensors)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _collect(item, f"{name}.{number}", tensors)


def differences(run: Path, whole: Path) -> list[str]:
    """Names of what is not the same, bit for bit."""
    (mine, my_metrics), (theirs, their_metrics) = end_of(run), end_of(whole)
    wrong = sorted(mine.keys() ^ theirs.keys())
    wrong += [name for name in mine.keys() & theirs.keys() if not torch.equal(mine[name], theirs[name])]
    return wrong + ([] if my_metrics == their_metrics else ["metrics"])


def loop(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill until `kills` is reached; the counts."""
    moments, images = random.Random(seed), make_images(folder / "images")
    run_whole(folder / "whole" / "run", images)
    import_all()
    (folder / "forked").mkdir()
    _, span = run_for(folder / "forked" / "run", images, None)
    counts = {"kills": 0, "runs": 0, "before_a_checkpoint": 0, "differ": 0}
    while counts["kills"] < kills:
        run = folder / f"killed_{counts['runs']}" / "run"
        run.parent.mkdir()
        while _status(run) != "completed":  # a kill may come when all is written
            moment = moments.uniform(0, span) if counts["kills"] < kills else None
            code, _ = run_for(run, images, moment)
            refuse_halves(run)
            if code != 0:
                counts["kills"] += 1
                counts["before_a_checkpoint"] += not (run / "checkpoints" / "last.ckpt").is_file()
                print(f"kill {counts['kills']} of {kills}", flush=True)
        counts["runs"] += 1
        if wrong := differences(run, folder / "whole" / "run"):
            counts["differ"] += 1
            print(f"{run}: {len(wrong)} differ, {wrong[0]} first", flush=True)
    return counts


def main() -> int:
    """Returns 1 where a run ended otherwise; ends at once where one cannot go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--out", type=Path, help="a new folder on the file system to try; default: a temporary one")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])
    with contextlib.ExitStack() as held:
        folder = given.out or Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "whole").mkdir()
        counts = loop(folder.resolve(), given.kills, given.seed)
    print(json.dumps(counts))
    return int(counts["differ"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())

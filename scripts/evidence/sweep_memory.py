"""What memory a sweep of very many real jobs holds: a table for docs/reliability.md.

python scripts/evidence/sweep_memory.py --jobs 500 --minutes 90
python scripts/evidence/sweep_memory.py --jobs 500 --minutes 90 --launcher basic    # all jobs in one process

A job trains timm's smallest network for an epoch on 48 images of noise, tests it, and leaves its model. After so many
minutes the sweep is ended.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 1.0
_JOB = (
    "data=folder", "model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0",
    "data.batch_size=16", "trainer.max_epochs=1", "trainer.accelerator=cpu", "threads=1", "projector=0",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--launcher", default=None, help="hydra/launcher; without it a process for each job")
    parser.add_argument("--every", type=int, default=25, help="jobs between two lines")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _make_images(Path(folder) / "images")
        launcher = [f"hydra/launcher={given.launcher}"] if given.launcher else []
        places = [f"data.root={folder}/images", f"output_dir={folder}/out", f"cache.dir={folder}/cache"]
        sweep = Path(folder) / "sweep"
        what = [f"seed=range({given.jobs})", *_JOB, *launcher, *places]
        with open(Path(folder) / "output", "wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(_ROOT / "train.py"), "-m", *what, f"hydra.sweep.dir={sweep}"],
                stdout=output, stderr=output,
            )  # fmt: skip
        print("| jobs completed | minutes | memory of the sweep's process, MB |\n|---:|---:|---:|", flush=True)
        _watch(process, sweep, until=time.monotonic() + 60 * given.minutes, every=given.every)
        print((Path(folder) / "output").read_text(errors="replace").strip().splitlines()[-1])


def _make_images(folder: Path) -> None:
    noise = np.random.default_rng(0)
    for name, brighter in (("a", 0), ("b", 100)):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            pixels = noise.integers(0, 120, (32, 32, 3)) + brighter
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.png")


def _watch(process: subprocess.Popen[bytes], sweep: Path, *, until: float, every: int) -> None:
    """Print a line whenever `every` more jobs are complete; end the sweep at `until`."""
    start, told, held = time.monotonic(), -every, 0.0
    while process.poll() is None:
        done = len(list(sweep.glob("*/model/model.json")))
        held = _resident_mb(process.pid) or held
        if done >= told + every:
            told = done
            print(f"| {done} | {(time.monotonic() - start) / 60:.1f} | {held:.1f} |", flush=True)
        if time.monotonic() > until:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        time.sleep(_POLL_S)
    done = len(list(sweep.glob("*/model/model.json")))
    print(f"| {done} | {(time.monotonic() - start) / 60:.1f} | {held:.1f} |", flush=True)


def _resident_mb(process: int) -> float:
    """Of a process, without its children; 0 once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(sizes[0]) / 1000 if sizes else 0.0


if __name__ == "__main__":
    main()

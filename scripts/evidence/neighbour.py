"""How much slower runs are while another process keeps a core busy: a table for docs/reliability.md.

    python scripts/evidence/neighbour.py --rounds 3

Each command runs alone and beside a busy loop, in turn, in processes of their own and with an empty cache. Seconds are
those of the whole process, medians of the rounds.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_COMMANDS = {
    "stacked_probe": ("strategy=stacked_probe",),
    "feature_extraction": ("strategy=feature_extraction",),
    "partial_fine_tune": ("strategy=partial_fine_tune", "trainer.max_epochs=4"),
    "full_fine_tune": ("strategy=full_fine_tune", "trainer.max_epochs=1"),
}
_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenario", default="small_different")
    given = parser.parse_args()
    print("| command | alone, s | beside a busy process, s | times as long |\n|---|---:|---:|---:|")
    for name, overrides in _COMMANDS.items():
        command = (f"scenario={given.scenario}", *overrides)
        pairs = [(seconds_of(command, beside=False), seconds_of(command, beside=True)) for _ in range(given.rounds)]
        alone, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(later / first for first, later in pairs)
        print(f"| {name} | {alone:.1f} | {beside:.1f} | {ratio:.2f} |", flush=True)
    print(f"rounds: {given.rounds}, cores: {os.cpu_count()}, load: {os.getloadavg()[0]:.1f}")


def seconds_of(overrides: tuple[str, ...], *, beside: bool) -> float:
    """Of a run."""
    with tempfile.TemporaryDirectory() as folder, neighbour() if beside else contextlib.nullcontext():
        places = (f"output_dir={folder}/out", f"cache.dir={folder}/cache")
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, _ROOT / "train.py", *overrides, *places], check=True, capture_output=True, cwd=folder
        )
        return time.perf_counter() - start


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """A process that does nothing but keep a core busy."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


if __name__ == "__main__":
    main()

"""What protects a run takes how much of it: a table for docs/reliability.md.

    python scripts/evidence/overhead.py strategy=partial_fine_tune

The run is profiled with cProfile. Counted are the calls from elsewhere into the files below, with all that they call:
flushing files to the disk, the guard, the signs of life, the record, the lock, the seeds of every step, the check for
a loss that is not finite. Choosing the number of threads trains too; its slower steps are not counted.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import thawline

_PARTS = {
    "files flushed and renamed": ("atomic.py",),
    "freeze guard": ("callbacks/guard.py",),
    "signs of life, progress of the record": (
        "machine/heartbeat.py", "machine/run_progress.py", "callbacks/note_progress.py", "report/run_record.py",
    ),
    "seeds of every step": ("callbacks/seed_each_step.py", "data/mixed_seed.py"),
    "loss that is not finite": ("callbacks/stop_diverged.py",),
    "lock, signals, user code that hangs": (
        "runs/lock.py", "machine/file_lock.py", "machine/sigterm.py", "callbacks/end_by_sigterm.py",
        "machine/standstill.py",
    ),
    "same state in all processes": ("callbacks/same_everywhere.py", "callbacks/lost_process.py"),
}  # fmt: skip
_ROOT = Path(thawline.__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", default=["scenario=small_different"])
    overrides = parser.parse_args().overrides
    thawline.train  # noqa: B018  imports everything before the clock runs
    profile, start = cProfile.Profile(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        profile.runcall(thawline.train, [*overrides, f"output_dir={folder}/out", f"cache.dir={folder}/cache"])
    whole = time.perf_counter() - start
    print("| part | calls | seconds | share |\n|---|---:|---:|---:|")
    together = 0.0
    for part, files in _PARTS.items():
        calls, seconds = entered(pstats.Stats(profile), {str(_ROOT / file) for file in files})
        together += seconds
        print(f"| {part} | {calls:,} | {seconds:.3f} | {100 * seconds / whole:.2f} % |")
    print(f"| together | | {together:.2f} of {whole:.1f} | {100 * together / whole:.2f} % |")


def entered(stats: pstats.Stats, files: set[str]) -> tuple[int, float]:
    """Number and seconds of calls from other files into these."""
    calls, seconds = 0, 0.0
    for (file, _, _), (_, _, _, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        for (caller, _, _), (_, number, _, cumulative) in callers.items() if file in files else ():
            if caller not in files:
                calls, seconds = calls + number, seconds + cumulative
    return calls, seconds


if __name__ == "__main__":
    main()

"""Check everything that runs on a GPU, and measure its speed; writes gpu_check.json, .md and .log.

    python scripts/evidence/gpu_check.py --out DIR              # at most 5 minutes on an H100 with 16 cores
    python scripts/evidence/gpu_check.py --out DIR --quick      # small, on a CPU; the numbers mean nothing
    python scripts/evidence/gpu_check.py --out DIR --only speed
    python scripts/evidence/gpu_check.py --out DIR --only checks --jobs start partial_   # these and what they follow

Needs no network: photographs and weights come from packages. The command's own runs are made several at a time; the
speed is measured afterwards, with the device to itself. Nothing starts that could not end in time.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpu.jobs import Job, environment, num_cores, run_jobs
from gpu.runs import Runs

_CHECKS_SHARE = 0.58  # of the time; the rest is the speed's
_LIBRARIES = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "numpy", "hydra-core")
_SHOWN_LINES = 4  # of a failure, in the terminal; the page has all


def main() -> int:
    """Returns 0 where every check passed."""
    given = _arguments()
    start = time.perf_counter()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends the jobs too
    given.out.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = environment({})["PYTHONPATH"]
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
    body: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        runs, end = Runs(Path(temporary), quick=given.quick), start + 60 * given.minutes
        try:
            if given.only != "speed":
                share = 1.0 if given.only else _CHECKS_SHARE
                _check(runs, body, given, deadline=start + share * (end - start))
            if given.only != "checks":
                _measure(runs, body, given, deadline=end)
        finally:
            body["seconds"] = round(time.perf_counter() - start, 1)
            _write(body, given.out)
            if (runs.folder / "report.html").is_file():
                shutil.copy(runs.folder / "report.html", given.out)
    print(f"{body['seconds']:.0f} s, written to {given.out}")
    return 0 if all(check["passed"] for check in body.get("checks", {}).values()) else 1


def _check(runs: Runs, body: dict[str, Any], given: argparse.Namespace, *, deadline: float) -> None:
    jobs = runs.jobs_named(given.jobs)
    run_jobs(jobs, folder=runs.folder / "logs", at_once=given.at_once, deadline=deadline)
    from gpu.gpu_checks import check_all, summary  # imports torch: not while the jobs want the cores

    results = check_all(runs, {job.name: job for job in jobs})
    body |= {"checks": summary(results), "jobs": _ends(jobs)}
    for result in results:
        lines = [result.report] if result.passed else result.report.splitlines()[-_SHOWN_LINES:]
        print("\n      ".join([f"{'PASS' if result.passed else 'FAIL'}  {result.name}", *lines]))
    print(f"{sum(r.passed for r in results)} of {len(results)} checks passed", flush=True)
    body["log"] = _logs(runs)
    _write(body, given.out)


def _measure(runs: Runs, body: dict[str, Any], given: argparse.Namespace, *, deadline: float) -> None:
    from gpu.speed import speed, table

    rows, jobs = speed(runs, deadline=deadline)
    body["speed"] = rows
    body["jobs"] = body.get("jobs", {}) | _ends(jobs)
    body["log"] = _logs(runs)
    print(table(rows))
    for job in jobs:
        if not job.is_good:
            print(f"FAIL  {job.name}: exit code {job.code}\n{job.last_lines}", flush=True)


def _ends(jobs: Sequence[Job]) -> dict[str, Any]:
    return {job.name: {"code": job.code, "seconds": round(job.seconds, 1)} for job in jobs}


def _write(body: dict[str, Any], out: Path) -> None:
    """Also after a part of the work, so that something is there if the rest is cut off."""
    from gpu.speed import table

    body["machine"] = _machine()
    rest = {key: value for key, value in body.items() if key != "log"}
    (out / "gpu_check.json").write_text(json.dumps(rest, indent=1) + "\n", encoding="utf-8")
    (out / "gpu_check.log").write_text(body.get("log", ""), encoding="utf-8")
    machine = body["machine"]
    parts = [
        "# What runs on a GPU",
        f"{machine['device']}, {machine['cores']} cores, Python {machine['python']}, "
        + ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
        + f", {machine['date']}. `python scripts/evidence/gpu_check.py`",
    ]
    if "checks" in body:
        parts.append("\n".join(["| check | | |", "|---|---|---|", *_check_rows(body["checks"])]))
    if "speed" in body:
        parts.append(table(body["speed"]))
    failed = {name: check["told"] for name, check in body.get("checks", {}).items() if not check["passed"]}
    parts += [f"## {name}\n\n```\n{report}\n```" for name, report in failed.items()]
    (out / "gpu_check.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _check_rows(checks: dict[str, Any]) -> list[str]:
    return [
        f"| {name} | {'passed' if check['passed'] else '**failed**'} | {check['told'] if check['passed'] else ''} |"
        for name, check in checks.items()
    ]


def _logs(runs: Runs) -> str:
    from gpu.speed import logs

    return logs(runs.folder / "logs")


def _machine() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory if cuda else None,
        "cuda": torch.version.cuda,
        "cores": num_cores(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _LIBRARIES},
        "date": date.today().isoformat(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="small images, few epochs")
    parser.add_argument("--only", choices=("checks", "speed"))
    parser.add_argument("--jobs", nargs="+", default=[], help="parts of the names of those that run; default all")
    parser.add_argument("--minutes", type=float, help="at most; default 5, with --quick 60")
    parser.add_argument("--at-once", type=int, help="jobs; default three quarters of the cores")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.minutes = given.minutes or (60.0 if given.quick else 5.0)
    given.at_once = given.at_once or max(1, num_cores() * 3 // 4)
    return given


if __name__ == "__main__":
    sys.exit(main())

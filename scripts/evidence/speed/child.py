"""Run one measurement in a process of its own: what earlier ones left in memory must not matter."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
_LAST_LINES = 15  # chosen: of the output of a process that failed


def run(command: list[str], *, env: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run a Python command at the root of the checkout; returns its output and its wall time in seconds.

    Raises:
        RuntimeError: It failed; the message ends with the last lines that it wrote.
    """
    path = os.pathsep.join([str(ROOT / "scripts" / "evidence"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        shown = "\n".join((done.stdout + done.stderr).splitlines()[-_LAST_LINES:])
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{shown}")
    return done.stdout, seconds


def run_module(name: str, *arguments: object, env: Mapping[str, str] | None = None) -> tuple[Any, float]:
    """Run `python -m speed.NAME ARGUMENTS`; returns the JSON of its last line, and its wall time in seconds."""
    output, seconds = run(["-m", f"speed.{name}", *map(str, arguments)], env=env)
    return json.loads(output.splitlines()[-1]), seconds

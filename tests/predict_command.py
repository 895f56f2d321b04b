"""predict as somebody calls it on a command line, in this process."""

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "predict.py"


def predict(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """On the CPU; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments), "--accelerator", "cpu"])
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(stop.value.code or 0)

"""The file of results: what is measured anew replaces the case of the same name, and leaves the others."""

import json
import re
from pathlib import Path
from typing import Any

from speed.row import Row

Results = dict[str, Any]  # {"cases": {name: {"machine", "date", "command", "repeats", "rows", ...}}}


def file_name(machine: dict[str, Any]) -> str:
    """`speed` on a CPU, `speed_DEVICE` on a GPU: without suffix, for the results, the table and the plot."""
    if not machine["cuda"]:
        return "speed"
    return f"speed_{re.sub(r'[^a-z0-9]+', '_', str(machine['device']).lower()).strip('_')}"


def load(path: Path) -> Results:
    """The results so far; none where there is no file."""
    results: Results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"cases": {}}
    return results


def merge(path: Path, name: str, case: dict[str, Any]) -> Results:
    """Write `case` into the file, under its name."""
    results = load(path)
    results["cases"][name] = case
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


def rows_of(case: dict[str, Any]) -> list[Row]:
    return [Row(**row) for row in case["rows"]]

"""sweep.json: the jobs of a sweep, so that a second call finds what the first one began."""

import json
from collections.abc import Sequence
from pathlib import Path

from thawline.atomic import write_atomically
from thawline.sweep.job import Job

MANIFEST_FILE = "sweep.json"
_SCHEMA = 1
_HOW_NOT_WHAT = ("sweep.resume", "output_dir", "cache.dir", "cache.max_gb", "hydra.")  # of where and how a sweep runs


def identity(overrides: Sequence[str]) -> list[str]:
    """Those of a sweep's overrides that say what it runs, in order."""
    return sorted(text for text in overrides if not text.lstrip("+~").startswith(_HOW_NOT_WHAT))


def write_manifest(folder: Path, overrides: Sequence[str], jobs: Sequence[Job]) -> None:
    """Write it; jobs that are there already, from an earlier batch of the same sweep, stay.

    Args:
        overrides: Of the sweep's command line.
    """
    path = folder / MANIFEST_FILE
    known = {job["number"]: job for job in read_manifest(path).get("jobs", [])}
    known |= {job.number: {"number": job.number, "folder": job.folder.name, "overrides": job.overrides} for job in jobs}
    body = {"schema": _SCHEMA, "sweep": identity(overrides), "jobs": [known[number] for number in sorted(known)]}
    write_atomically(path, json.dumps(body, indent=1) + "\n")


def read_manifest(path: Path) -> dict[str, list]:  # type: ignore[type-arg]
    """The content; empty where there is none that can be read."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) and body.get("schema") == _SCHEMA else {}


def known_folders(folder: Path) -> dict[tuple[str, ...], str]:
    """What a job of the sweep in `folder` runs -> the name of its folder."""
    jobs = read_manifest(folder / MANIFEST_FILE).get("jobs", [])
    return {tuple(identity(job["overrides"])): job["folder"] for job in jobs}


def find_same(root: Path, overrides: Sequence[str]) -> Path | None:
    """The latest sweep below `root` with these overrides."""
    wanted = identity(overrides)
    found = [path for path in root.glob(f"*/{MANIFEST_FILE}") if read_manifest(path).get("sweep") == wanted]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None

"""sweep.json: the jobs of a sweep, so that a later call can go on with them."""

import json
from collections.abc import Sequence
from pathlib import Path

from thawline.atomic import write_atomically
from thawline.sweep.job import Job

MANIFEST_FILE = "sweep.json"
_SCHEMA = 1
# Settings.
_NO_EFFECT_ON_RESULTS = ("sweep.resume", "output_dir", "cache.dir", "cache.max_gb", "data.source.scan_dir", "hydra.")


def identity(overrides: Sequence[str]) -> list[str]:
    """The overrides of a sweep that affect its results, sorted."""
    return sorted(text for text in overrides if not text.lstrip("+~").startswith(_NO_EFFECT_ON_RESULTS))


def write_manifest(folder: Path, overrides: Sequence[str], jobs: Sequence[Job]) -> None:
    """Write sweep.json, with the jobs of earlier batches; `overrides` are those of the sweep's command line."""
    path = folder / MANIFEST_FILE
    known = {job["number"]: job for job in read_manifest(path).get("jobs", [])}
    known |= {job.number: {"number": job.number, "folder": job.folder.name, "overrides": job.overrides} for job in jobs}
    body = {"schema": _SCHEMA, "sweep": identity(overrides), "jobs": [known[number] for number in sorted(known)]}
    write_atomically(path, json.dumps(body, indent=1) + "\n")


def read_manifest(path: Path) -> dict[str, list]:  # type: ignore[type-arg]
    """The content of sweep.json; empty if it is missing or cannot be read."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) and body.get("schema") == _SCHEMA else {}


def known_folders(folder: Path) -> dict[tuple[str, ...], str]:
    """`identity` of each job of the sweep in `folder` -> the name of the job's folder."""
    jobs = read_manifest(folder / MANIFEST_FILE).get("jobs", [])
    return {tuple(identity(job["overrides"])): job["folder"] for job in jobs}


def find_same(root: Path, overrides: Sequence[str]) -> Path | None:
    """The latest sweep below `root` with these overrides."""
    sweep = identity(overrides)
    same = [path for path in root.glob(f"*/{MANIFEST_FILE}") if read_manifest(path).get("sweep") == sweep]
    return max(same, key=lambda path: path.stat().st_mtime).parent if same else None

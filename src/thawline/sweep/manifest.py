"""sweep.json: the jobs of a sweep, so that a later call can go on with them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thawline.atomic import write_atomically
from thawline.strict_json import misfit, read_json
from thawline.sweep.job import Job

MANIFEST_FILE = "sweep.json"
_SCHEMA = 1
_LONGEST_NAME = 255  # characters of a folder's name; file systems allow as many bytes
# Settings.
_NO_EFFECT_ON_RESULTS = (
    "sweep.resume",
    "sweep.timeout",
    "output_dir",
    "cache.dir",
    "cache.max_gb",
    "data.source.scan_dir",
    "hydra.",
)


def identity(overrides: Sequence[str]) -> list[str]:
    """The overrides of a sweep that affect its results, sorted."""
    return sorted(text for text in overrides if not text.lstrip("+~").startswith(_NO_EFFECT_ON_RESULTS))


def write_manifest(folder: Path, overrides: Sequence[str], jobs: Sequence[Job]) -> None:
    """Write sweep.json, with the jobs of earlier batches; `overrides` are those of the sweep's command line."""
    path = folder / MANIFEST_FILE
    known = {job["number"]: job for job in read_manifest(path).get("jobs", []) if _is_job(job)}
    known |= {job.number: {"number": job.number, "folder": job.folder.name, "overrides": job.overrides} for job in jobs}
    body = {"schema": _SCHEMA, "sweep": identity(overrides), "jobs": [known[number] for number in sorted(known)]}
    write_atomically(path, json.dumps(body, indent=1) + "\n")


def read_manifest(path: Path) -> dict[str, list]:  # type: ignore[type-arg]
    """The content of sweep.json; empty if it is missing or cannot be read."""
    try:
        body = read_json(path)
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(body, dict) and body.get("schema") == _SCHEMA and misfit(body.get("sweep"), list[str]) is None
    return body if is_ours and misfit(body.get("jobs"), list[Any]) is None else {}


def _is_job(entry: Any) -> bool:
    """Whether an entry of sweep.json can be one that was written here: its folder lies in the sweep's."""
    if not isinstance(entry, dict):
        return False
    folder = entry.get("folder")
    if not isinstance(folder, str) or len(folder) > _LONGEST_NAME:
        return False
    if folder in ("", ".", "..") or "\0" in folder or Path(folder).name != folder:
        return False
    return isinstance(entry.get("number"), int) and misfit(entry.get("overrides"), list[str]) is None


def known_folders(folder: Path) -> dict[tuple[str, ...], str]:
    """`identity` of each job of the sweep in `folder` -> the name of the job's folder."""
    jobs = [job for job in read_manifest(folder / MANIFEST_FILE).get("jobs", []) if _is_job(job)]
    return {tuple(identity(job["overrides"])): job["folder"] for job in jobs}


def find_same(root: Path, overrides: Sequence[str]) -> Path | None:
    """The latest sweep below `root` with these overrides."""
    sweep = identity(overrides)
    same = [path for path in root.glob(f"*/{MANIFEST_FILE}") if read_manifest(path).get("sweep") == sweep]
    return max(same, key=lambda path: path.stat().st_mtime).parent if same else None

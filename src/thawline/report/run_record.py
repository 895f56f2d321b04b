"""run.json: one schema, written and read here only."""

import contextlib
import json
import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from thawline.errors import UserError
from thawline.report.atomic import write_atomically

RECORD_SCHEMA = 1
STATUSES = ("running", "completed", "failed", "interrupted")
RECORD_FILE = "run.json"


@dataclass
class RunRecord:
    """Everything that is known of a run; the sections fill up while it goes on."""

    run_id: str
    scenario: str
    seed: int
    status: str = "running"
    error: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)
    params: dict[str, int] = field(default_factory=dict)
    best_epoch: int | None = None  # counted from 1: the epoch whose weights were tested
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[list[float | None]]] = field(default_factory=dict)  # tag -> [step, value] pairs
    classes: dict[str, Any] = field(default_factory=dict)  # names; confusion, (K, K): test images by true, predicted
    cost: dict[str, float] = field(default_factory=dict)
    freeze: dict[str, Any] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)  # dotted key -> value: all that the run was made with
    advice: dict[str, Any] = field(default_factory=dict)  # with scenario=auto: what was recommended, and why
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Write `folder`/run.json; a reader sees the old file or the new one, never half of one."""
        assert self.status in STATUSES, self.status
        path = folder / RECORD_FILE
        body = {"schema": RECORD_SCHEMA, **asdict(self)}
        if self.error is None:
            del body["error"]
        write_atomically(path, json.dumps(_finite(body), indent=2, allow_nan=False) + "\n")
        return path


_SECTIONS = [f.name for f in fields(RunRecord) if f.default_factory is dict]


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; the loss of a run that diverged becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def recorded(record: RunRecord, folder: Path) -> Iterator[None]:
    """Keep run.json true while the block runs: `running`, then `completed`, `failed` with the error, or `interrupted`.

    The traceback of an error that is not the user's goes to `folder`/traceback.txt.
    """
    record.save(folder)
    try:
        yield
        record.status = "completed"
    except (KeyboardInterrupt, SystemExit):
        record.status = "interrupted"
        raise
    except Exception as error:
        record.status, record.error = "failed", f"{type(error).__name__}: {error}"
        if not isinstance(error, UserError):
            (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        raise
    finally:
        record.save(folder)


def load_record(path: Path) -> RunRecord:
    """Read a run.json.

    Raises:
        UserError: The file is missing, not JSON, of another schema, or lacks a section.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable run record ({error})") from error
    if not isinstance(body, dict) or body.pop("schema", None) != RECORD_SCHEMA:
        raise UserError(f"{path}: not a run record of schema {RECORD_SCHEMA}")
    known = {f.name for f in fields(RunRecord)}
    try:
        record = RunRecord(**{k: v for k, v in body.items() if k in known})
    except TypeError as error:
        raise UserError(f"{path}: incomplete run record ({error})") from error
    if wrong := [name for name in _SECTIONS if not isinstance(getattr(record, name), dict)]:
        raise UserError(f"{path}: not a run record ({', '.join(wrong)}: a section is no mapping)")
    record.metrics = {key: math.nan if value is None else value for key, value in record.metrics.items()}
    return record

"""run.json is whole at any moment and survives a round trip."""

import json
import math
import os
import socket
import stat
from pathlib import Path

import pytest

from thawline.errors import UserError
from thawline.report.run_record import RunRecord, load_record, recorded


def record() -> RunRecord:
    return RunRecord(run_id="r", scenario="small_different", seed=3, metrics={"test/accuracy": 0.5})


def test_round_trip(tmp_path: Path) -> None:
    path = record().save(tmp_path)
    assert load_record(path) == record()
    assert json.loads(path.read_text())["schema"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]  # no half-written file stays


def test_a_loss_that_is_no_number_becomes_null_and_comes_back(tmp_path: Path) -> None:
    diverged = record()
    diverged.metrics["test/loss"] = float("nan")
    path = diverged.save(tmp_path)
    assert json.loads(path.read_text())["metrics"]["test/loss"] is None
    assert math.isnan(load_record(path).metrics["test/loss"])


def test_status_goes_from_running_to_completed(tmp_path: Path) -> None:
    with recorded(record(), tmp_path):
        assert load_record(tmp_path / "run.json").status == "running"
    assert load_record(tmp_path / "run.json").status == "completed"


@pytest.mark.parametrize(
    ("error", "status", "traceback"),
    [
        (UserError("too few"), "failed", False),
        (RuntimeError("bug"), "failed", True),
        (KeyboardInterrupt(), "interrupted", False),
    ],
)
def test_an_error_is_recorded_and_raised(tmp_path: Path, error: BaseException, status: str, traceback: bool) -> None:
    with pytest.raises(type(error)), recorded(record(), tmp_path):
        raise error
    saved = load_record(tmp_path / "run.json")
    assert saved.status == status
    assert saved.error == (f"{type(error).__name__}: {error}" if status == "failed" else None)
    assert (tmp_path / "traceback.txt").exists() == traceback
    progress = saved.progress
    assert progress.signal == ("SIGINT" if status == "interrupted" else None)
    assert progress.doing == "preparing"
    assert progress.started <= progress.at
    assert (progress.host, progress.process) == (socket.gethostname(), os.getpid())
    assert progress.peak_memory_bytes >= progress.memory_bytes > 10_000_000  # Python with torch takes more
    assert progress.available_memory_bytes > 0
    assert progress.threads >= 1


def test_only_the_last_record_waits_for_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the progress while it runs, a power cut may bring the one before back."""
    folders = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: folders.append(stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    with recorded(run := record(), tmp_path):
        run.save_progress(tmp_path)
        assert folders == [False, False]
    assert folders == [False, False, False, True]


def test_the_traceback_of_an_earlier_process_is_set_aside(tmp_path: Path) -> None:
    """Else a run that was resumed and completed looks as if it had failed."""
    with pytest.raises(RuntimeError), recorded(record(), tmp_path):
        raise RuntimeError("bug")
    os.utime(tmp_path / "traceback.txt", (1_795_789_203, 1_795_789_203))
    with recorded(record(), tmp_path):
        pass
    (kept,) = tmp_path.glob("traceback*")
    assert kept.name == "traceback_2026-11-27_14-20-03.txt"
    assert "RuntimeError: bug" in kept.read_text(encoding="utf-8")


def test_a_record_of_before_says_nothing_of_how_far_it_was(tmp_path: Path) -> None:
    body = json.loads(record().save(tmp_path).read_text())
    del body["progress"]
    (tmp_path / "run.json").write_text(json.dumps(body))
    assert load_record(tmp_path / "run.json").ended_where == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a readable run record"),
        ('{"schema": 99}', "not a run record of schema 1"),
        ('{"schema": 1}', "incomplete run record"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=f"run.json: {message}"):
        load_record(tmp_path / "run.json")

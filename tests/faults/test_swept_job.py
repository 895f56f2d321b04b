"""A job of a sweep that is cut off goes on, wherever the sweep lies, and tells the failure of this call."""

import json
from pathlib import Path

from thawline.report.run_record import RECORD_FILE, RunRecord
from thawline.runs.resume import CHECKPOINT
from thawline.sweep.job import OUTPUT, Job, Status, command


def cut_off(folder: Path) -> Job:
    """A job that an earlier call left with a checkpoint, killed."""
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    (folder / CHECKPOINT).write_bytes(b"")
    RunRecord(folder.name, "small_similar", 0, status="failed", error="killed by SIGKILL").save(folder)
    return Job(0, ["seed=0"], folder)


def test_a_job_is_resumed_below_the_folder_that_the_sweep_was_given(tmp_path: Path) -> None:
    inside = cut_off(tmp_path / "out" / "multirun" / "sweep" / "0")
    outside = cut_off(tmp_path / "elsewhere" / "0")
    start, out = ["thawline"], str(tmp_path / "out")
    assert command(inside, start=start, output_dir=out, depths=[])[-1] == f'output_dir="{out}"'
    assert command(outside, start=start, output_dir=out, depths=[]) == [
        "thawline", f'resume="{outside.folder}"', f'output_dir="{tmp_path / "elsewhere"}"',
    ]  # fmt: skip


def test_a_job_that_fails_before_it_records_tells_its_own_failure(tmp_path: Path) -> None:
    job = cut_off(tmp_path / "0")
    job.begin()
    (job.folder / OUTPUT).write_text("error: data.root=gone: no such folder\n")
    job.end(2)
    assert (job.status, job.error) == (Status.FAILED, "exit code 2: error: data.root=gone: no such folder")
    assert json.loads((job.folder / RECORD_FILE).read_text())["error"] == job.error


def test_a_job_that_recorded_its_failure_is_believed(tmp_path: Path) -> None:
    job = cut_off(tmp_path / "0")
    job.begin()
    RunRecord("0", "small_similar", 0, status="failed", error="UserError: this time").save(job.folder)
    job.end(2)
    assert job.error == "UserError: this time"

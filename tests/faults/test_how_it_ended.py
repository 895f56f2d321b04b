"""What a run's record and log say of its end."""

import logging
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from made_up import write_run

from thawline.errors import UserError
from thawline.report.collect import collect
from thawline.report.run_record import LOCK_FILE, RunRecord
from thawline.runs.resume import CHECKPOINT
from thawline.runs.run import note_replaced


def test_a_run_that_takes_the_place_of_one_that_was_cut_off_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    progress = {"doing": "training", "epoch": 2, "epochs": 3, "step": 7}
    record = RunRecord("r", "small_different", 0, "running", progress=progress)
    note_replaced(tmp_path)
    record.save(tmp_path)
    note_replaced(tmp_path)  # there is nothing to go on from
    assert not caplog.messages
    (tmp_path / CHECKPOINT).parent.mkdir()
    (tmp_path / CHECKPOINT).touch()
    with caplog.at_level(logging.WARNING):
        note_replaced(tmp_path)
    assert caplog.messages == [
        "Note: this run takes the place of one that was killed while training, in epoch 2 of 3, at step 7; "
        f"resume={tmp_path} would have gone on with it."
    ]
    record.status = "completed"
    record.save(tmp_path)
    note_replaced(tmp_path)
    assert len(caplog.messages) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the lock of a file that is gone is not seen there")
def test_a_run_that_says_it_is_running_is_said_to_run_or_to_be_killed(tmp_path: Path) -> None:
    write_run(tmp_path / "good", depth=0, seed=0, accuracy=0.5)
    at = {"doing": "training", "epoch": 2, "epochs": 3, "step": 7}
    by = {"at": "2026-11-27T10:00:00+00:00", "host": "node1", "process": 12}
    write_run(tmp_path / "run", depth=0, seed=1, accuracy=0.5, status="running", progress={**at, **by})
    seen = " while training, in epoch 2 of 3, at step 7; last seen 2026-11-27T10:00:00+00:00 on node1, process 12"

    def said() -> str:
        return collect([tmp_path])[1][0].reason

    assert said() == f"still running, or killed{seen}"
    with FileLock(tmp_path / "run" / LOCK_FILE):
        assert said() == f"still running{seen}"
    (tmp_path / "run" / LOCK_FILE).touch()
    assert said() == f"killed{seen}"
    shutil.rmtree(tmp_path / "run")
    write_run(
        tmp_path / "run", depth=0, seed=1, accuracy=0.5, status="interrupted", progress={**at, "signal": "SIGTERM"}
    )
    assert said() == "interrupted by SIGTERM while training, in epoch 2 of 3, at step 7"
    shutil.rmtree(tmp_path / "run")
    write_run(tmp_path / "run", depth=0, seed=1, accuracy=0.5, status="failed", progress=at, error="ValueError: no")
    assert said() == "failed while training, in epoch 2 of 3, at step 7 (ValueError: no)"
    shutil.rmtree(tmp_path / "good")
    with pytest.raises(
        UserError, match=r"no completed run to compare; the only one is .*run.json: failed while training"
    ):
        collect([tmp_path])

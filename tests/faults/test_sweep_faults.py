"""Jobs that hang, jobs that the kernel ends, depths that do not exist, two sweeps in one folder, five hundred jobs."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from rich.console import Console

from thawline.errors import UserError
from thawline.machine import heartbeat
from thawline.machine.heartbeat import HEARTBEAT, Pulse, beat
from thawline.machine.oom_kills import oom_kills
from thawline.report.run_record import RECORD_FILE, RunRecord
from thawline.settings.sweep_settings import SweepSettings
from thawline.sweep import job_processes
from thawline.sweep.depth_check import refuse_impossible_depths
from thawline.sweep.job import Job, Status
from thawline.sweep.job_processes import Running
from thawline.sweep.sweep_table import SweepTable, in_view, jobs_table

ROOT = Path(__file__).resolve().parents[2]
HANGS = "import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HANGS}"
TOUCH = f"open(os.environ['{HEARTBEAT}'], 'w').write(str(i))"
ALIVE = f"import os, time\nfor i in range(40): time.sleep(0.05); {TOUCH}"


def ran(tmp_path: Path, code: str, *, timeout_s: float | None) -> Job:
    """A job that runs Python code, after it ended."""
    job = Job(0, [], tmp_path / "0")
    running = Running(lambda _: [sys.executable, "-S", "-c", code], 1, timeout_s=timeout_s)
    running.run([job], shown=lambda: None)
    return job


@pytest.mark.parametrize("code", [HANGS, DEAF], ids=["hears SIGTERM", "deaf"])
def test_a_job_without_a_sign_of_life_is_ended_and_told(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_processes, "_HUNG_GRACE_S", 0.1)
    job = ran(tmp_path, code, timeout_s=0.6)
    assert (job.status, job.error) == (
        Status.FAILED,
        "gave no sign of life for 0.01 minutes and was ended (sweep.timeout)",
    )
    assert json.loads((job.folder / RECORD_FILE).read_text())["error"] == job.error
    assert job.seconds < 30


def test_a_job_with_signs_of_life_is_not_ended(tmp_path: Path) -> None:
    assert ran(tmp_path, ALIVE, timeout_s=1.5).error == "exit code 0: no output"  # it left no record, but it ended


def test_a_sign_of_life_is_a_touch_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "heartbeat"
    beat()  # no sweep waits
    monkeypatch.setenv(HEARTBEAT, str(file))
    monkeypatch.setattr(heartbeat, "_last", -1.0)
    pulse = Pulse([file], now=0.0)
    assert pulse.silent_s(now=5.0) == 5.0
    beat()
    assert file.exists()
    assert (pulse.silent_s(now=6.0), pulse.silent_s(now=8.0)) == (0.0, 2.0)
    file.unlink()
    beat()  # within the same second
    assert not file.exists()
    os.utime(tmp_path, (0, 0))  # the clock of the machine may be anywhere: only changes count
    assert SweepSettings(timeout=2).timeout_s == 120
    with pytest.raises(UserError, match=r"sweep.timeout=0: allowed are 0.01 to 100000"):
        SweepSettings(timeout=0)


def test_a_job_that_the_kernel_ended_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([3, 4, 4, 4])
    monkeypatch.setattr("thawline.sweep.job.oom_kills", lambda: next(counts))
    for number, says in enumerate(("while the kernel ended a process for lack of memory", "killed by SIGKILL")):
        job = Job(number, [], tmp_path / str(number))
        job.folder.mkdir()
        job.begin()
        RunRecord("r", "small_different", 0, progress={"doing": "training", "epoch": 2, "epochs": 3, "step": 7}).save(
            job.folder
        )
        job.end(-signal.SIGKILL)
        assert job.status is Status.FAILED
        assert says in str(job.error)
        assert ("lack of memory" in str(job.error)) == (number == 0)
        assert str(job.error).endswith("; while training, in epoch 2 of 3, at step 7")
        assert job.record is not None
        assert job.record.progress.signal == "SIGKILL"


def test_the_kernels_counts_are_added(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc/vmstat").write_text("pgfault 99\noom_kill 2\n")
    (tmp_path / "sys/fs/cgroup/memory.events").write_text("oom 7\noom_kill 1\noom_group_kill 5\n")
    assert oom_kills(tmp_path) == 3


def test_a_depth_that_the_backbone_has_not_is_refused_before_the_first_job() -> None:
    jobs = [["strategy.unfreeze_depth=2"], ["strategy.unfreeze_depth=99"]]
    common = ["model.name=test_resnet", "model.weights=none", "model.image_size=32"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        configs = [compose("train", ["output_dir=out", *common, *job]) for job in jobs]
        refuse_impossible_depths(configs[:1], jobs)
        with pytest.raises(UserError, match=r"job 1 \(strategy.unfreeze_depth=99\): strategy.unfreeze_depth=99"):
            refuse_impossible_depths(configs, jobs)


def five_hundred(tmp_path: Path) -> list[Job]:
    jobs = [Job(number, [f"seed={number}"], tmp_path / str(number)) for number in range(500)]
    for job in jobs[:480]:
        job.status, job.scores = Status.COMPLETED, (0.5, 0.25)
    for job in jobs[480:484]:
        job.status = Status.RUNNING
    return jobs


def test_the_table_of_five_hundred_jobs_reads_no_records_and_grows_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thawline.sweep.job.load_record", None)
    jobs = five_hundred(tmp_path)
    with open(os.devnull, "w") as nowhere:
        table = SweepTable(jobs, Console(file=nowhere, force_terminal=True, width=80, height=24))
        tracemalloc.start()
        table.show()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            table.show()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert after - before < 100_000  # bytes
    assert len(jobs_table(jobs, most=20).rows) == 20


@pytest.mark.slow
def test_five_hundred_processes_one_after_the_other_leave_nothing_behind(tmp_path: Path) -> None:
    """Each replaces the record of a run before and ends, so that only the sweep's process has something to do."""
    record = RunRecord("one", "small_similar", 0, status="completed", metrics={"val/accuracy": 0.5}).save(tmp_path)
    jobs = [Job(number, [f"seed={number}"], tmp_path / str(number)) for number in range(500)]
    for job in jobs:
        job.folder.mkdir()
        RunRecord("one", "small_similar", 0, status="interrupted").save(job.folder)
    running = Running(lambda job: ["cp", str(record), str(job.folder)], 10, timeout_s=60)
    held: dict[int, int] = {}  # hundreds of jobs that ended -> bytes
    with open(os.devnull, "w") as nowhere:
        table = SweepTable(jobs, Console(file=nowhere, force_terminal=True, width=80, height=24))

        def shown() -> None:
            table.show()
            hundreds = sum(job.status is Status.COMPLETED for job in jobs) // 100
            if hundreds not in held:
                gc.collect()
                held[hundreds], _ = tracemalloc.get_traced_memory()

        tracemalloc.start()
        running.run(jobs, shown=shown)
        tracemalloc.stop()
    assert all(job.status is Status.COMPLETED for job in jobs)
    assert (running.under_way, running.slots, running.pulses) == ({}, {}, {})
    assert held[5] - held[1] < 400 * 500  # bytes; a record has 1,500


def test_what_runs_what_ended_last_and_what_comes_next_is_in_view(tmp_path: Path) -> None:
    jobs = five_hundred(tmp_path)
    assert [job.number for job in in_view(jobs, 10)] == [*range(476, 480), *range(480, 484), 484, 485]
    assert [job.number for job in in_view(jobs, 3)] == [480, 481, 482]
    assert in_view(jobs[:5], 10) == jobs[:5]
    assert [job.number for job in in_view(jobs[484:], 4)] == [484, 485, 486, 487]


@pytest.mark.slow
def test_a_second_sweep_into_a_folder_is_refused(tmp_path: Path) -> None:
    app = [sys.executable, str(ROOT / "tests" / "sweep" / "app.py"), "-m", f"output_dir={tmp_path}"]
    app += [f"hydra.sweep.dir={tmp_path}/here", "seed=0", "+bad_0=wait"]
    with subprocess.Popen(app, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + 60
        while not (tmp_path / "here" / "0_seed=0" / RECORD_FILE).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        second = subprocess.run(app, capture_output=True, text=True, timeout=120)
        first.terminate()
        first.wait()
    assert second.returncode == 2
    assert second.stderr.strip().endswith("wait, end it, or name another folder")

"""A sweep whose jobs crash, are killed or are ended: the others run, the exit code tells, a second call finishes it."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thawline.machine.processes import num_cores

APP = Path(__file__).parent / "app.py"


def command(out: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(APP), "-m", f"output_dir={out}", *arguments]


def sweep(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.run(command(out, *arguments), capture_output=True, text=True, timeout=120, env=environment)


def records(out: Path) -> dict[str, dict[str, object]]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(out.rglob("run.json"))}


def calls(out: Path) -> list[int]:
    return [len(path.read_text().split()) for path in sorted(out.rglob("calls"))]


@pytest.mark.slow
def test_bad_jobs_leave_the_others_and_a_second_call_finishes_them(tmp_path: Path) -> None:
    bad = ("+bad_1=raise", "+bad_2=exit", "+bad_3=sigkill", "+bad_4=sigterm")
    arguments = ("seed=0,1,2,3,4,5", *bad, "hydra.launcher.n_jobs=2")
    first = sweep(tmp_path, *arguments)
    assert first.returncode == 1, first.stderr
    ends = {name: (r["status"], r.get("error")) for name, r in records(tmp_path).items()}
    assert ends == {
        "0_seed=0": ("completed", None),
        "1_seed=1": ("failed", "ZeroDivisionError: made up"),
        "2_seed=2": ("failed", f"exit code 9: threads {max(1, num_cores() // 2)}, depths []"),
        "3_seed=3": ("failed", "killed by SIGKILL"),
        "4_seed=4": ("interrupted", None),
        "5_seed=5": ("completed", None),
    }
    assert "4 of 6 jobs did not complete: 1_seed=1, 2_seed=2, 3_seed=3, 4_seed=4; see output.log" in first.stderr
    assert "Traceback" not in first.stderr
    (folder,) = (tmp_path / "multirun").iterdir()
    assert "made up" in (folder / "1_seed=1" / "traceback.txt").read_text()
    (folder / "mended").touch()
    second = sweep(tmp_path, *reversed(arguments), "sweep.resume=true")
    assert second.returncode == 0, second.stderr
    assert list((tmp_path / "multirun").iterdir()) == [folder]
    assert [r["status"] for r in records(tmp_path).values()] == ["completed"] * 6
    assert calls(tmp_path) == [1] * 6  # the bad ones anew, the others not again
    assert second.stdout.count("completed before") == 2
    other = sweep(tmp_path, "seed=0", "sweep.resume=true")
    assert "no sweep like this one" in other.stdout
    assert len(list((tmp_path / "multirun").iterdir())) == 2


def test_jobs_share_the_cores_know_the_sweeps_depths_and_tell_their_accuracy(tmp_path: Path) -> None:
    done = sweep(tmp_path, "strategy.unfreeze_depth=0,2,all", "hydra.launcher.n_jobs=3")
    assert done.returncode == 0, done.stderr
    outputs = [path.read_text().splitlines()[0] for path in sorted(tmp_path.rglob("output.log"))]
    assert outputs == [f"threads {max(1, num_cores() // 3)}, depths [0, 2, 'all']"] * 3
    assert done.stdout.count("val 0.500, test 0.400") == 3


def test_bad_input_is_told_before_anything_runs(tmp_path: Path) -> None:
    done = sweep(tmp_path, "strategy=fine_tune,nothing")
    assert done.returncode == 2
    assert "strategy=nothing: no such strategy" in done.stderr
    assert not records(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: allowed are whole numbers from 1"),
        ("hydra.launcher.n_jobs=two", "hydra.launcher.n_jobs=two: allowed are whole numbers from 1"),
        ("sweep.resume=maybe", "sweep.resume"),
    ],
)
def test_settings_of_the_sweep_are_checked_too(tmp_path: Path, argument: str, says: str) -> None:
    done = sweep(tmp_path, "seed=0", argument)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]


def test_ctrl_c_ends_the_sweep_in_order_and_it_goes_on(tmp_path: Path) -> None:
    arguments = ("seed=0,1,2", "+bad_1=wait")
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background job is deaf to Ctrl-C
    with subprocess.Popen(
        command(tmp_path, *arguments), stderr=subprocess.PIPE, text=True, preexec_fn=heard
    ) as process:
        deadline = time.monotonic() + 60
        while "1_seed=1" not in records(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; the same command with sweep.resume=true goes on"]
    assert {name: r["status"] for name, r in records(tmp_path).items()} == {
        "0_seed=0": "completed",
        "1_seed=1": "interrupted",
    }
    (folder,) = (tmp_path / "multirun").iterdir()
    (folder / "mended").touch()
    assert sweep(tmp_path, *arguments, "sweep.resume=true").returncode == 0
    assert [r["status"] for r in records(tmp_path).values()] == ["completed"] * 3

"""Processes that torchrun or srun started, from the command line as a user would: one run, and no waiting for ever.

Two machines are two agents of torchrun on this one.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "data.augment=none", "cache.enabled=false", "trainer.precision=32-true")
TINY += ("data.batch_size=5", "strategy.batchnorm=eval", "trainer.max_epochs=2")
NODES = "trainer.num_nodes=2"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """24 training images, 21 for validation and 21 for the test: 2 batches for one process and 1 for the other."""
    number = 0
    for split, count in (("train", 24), ("val", 21), ("test", 21)):
        for index in range(count):
            folder = tmp_path / "images" / split / ("cats" if index % 2 else "dogs")
            folder.mkdir(parents=True, exist_ok=True)
            number += 1
            colour = (200 - 2 * number, 60, 60) if index % 2 else (60, 60 + number, 200 - 2 * number)
            Image.new("RGB", (32, 32), colour).save(folder / f"{index:02}.png")
    return tmp_path / "images"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


Started = list["subprocess.Popen[str]"]


def agents(out: Path, images: Path, *arguments: str, second: tuple[str, ...] = (), script: str = "train.py") -> Started:
    """Two agents with a process each; `second` goes to the second one only."""
    place = ["--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    return [
        started(
            [sys.executable, "-m", "torch.distributed.run", *place, "--node_rank", str(node), str(ROOT / script)],
            *(out, images, *arguments, *(second if node else ())),
        )
        for node in range(2)
    ]


def srun(out: Path, images: Path, *arguments: str, script: str = "train.py") -> Started:
    """Two processes with the environment that srun gives them."""
    shared = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}
    shared |= {"SLURM_LOCALID": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    start = [sys.executable, str(ROOT / script)]
    numbers = [{"SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)} for rank in range(2)]
    return [started(start, out, images, *arguments, environ=shared | number) for number in numbers]


def started(
    start: list[str], out: Path, images: Path, *arguments: str, environ: dict[str, str] | None = None
) -> "subprocess.Popen[str]":
    where = ("data=folder", f"data.root={images}", f"output_dir={out}", f"cache.dir={out}_cache")
    return subprocess.Popen(
        [*start, *where, *TINY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | (environ or {}),
    )  # fmt: skip


def ended(processes: Started, *, within: float = 150.0) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    deadline = time.monotonic() + within
    try:
        texts_of_all = [process.communicate(timeout=max(1.0, deadline - time.monotonic())) for process in processes]
    finally:
        for process in processes:
            process.terminate()  # an agent ends its process too
    return [(process.returncode, *texts) for process, texts in zip(processes, texts_of_all, strict=True)]


def record_of(out: Path) -> dict[str, object]:
    (folder,) = (out / "small_different").iterdir()  # one, however many processes
    record: dict[str, object] = json.loads((folder / "run.json").read_text())
    return record


def errors(ends: list[tuple[int, str, str]]) -> list[list[str]]:
    return [[line for line in err.splitlines() if line.startswith("error: ")] for _, _, err in ends]


@pytest.mark.parametrize("launch", [agents, srun])
def test_two_machines_leave_one_run_equal_to_that_of_one_process(
    tmp_path: Path, images: Path, launch: "type[agents]"
) -> None:
    ends = ended(launch(tmp_path / "two", images, NODES))
    assert [code for code, _, _ in ends] == [0, 0], [err[-1500:] for _, _, err in ends]
    assert "Trainable:" in ends[0][1]
    assert ends[1][1] == ""  # one process talks
    command = [sys.executable, str(ROOT / "train.py")]
    assert ended([started(command, tmp_path / "one", images, "data.batch_size=10")])[0][0] == 0
    two, one = record_of(tmp_path / "two"), record_of(tmp_path / "one")
    assert two["status"] == "completed"
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-5)
    assert two["classes"] == one["classes"]  # the confusion matrix counts every test image once
    assert two["machine"]["processes"] == 2  # type: ignore[index]


def test_other_images_on_one_machine_end_both_with_one_line(tmp_path: Path, images: Path) -> None:
    other = shutil.copytree(images, tmp_path / "other")
    (other / "val" / "cats" / "01.png").unlink()
    ends = ended(agents(tmp_path / "out", images, NODES, second=(f"data.root={other}",)))
    first, second = errors(ends)
    assert len(first) == 1
    assert first[0].startswith("error: data.fingerprint: process 0 has ")
    assert "every machine needs the same images" in first[0]
    assert second == []
    assert all("exitcode  : 2 " in err for _, _, err in ends)  # of the run; torchrun's own is 1


def test_machines_for_which_auto_chooses_other_precisions_end_both_with_one_line(tmp_path: Path, images: Path) -> None:
    unlike = agents(tmp_path / "out", images, NODES, "trainer.precision=auto", script="tests/unlike_processes.py")
    first, second = errors(ended(unlike))
    assert first == [
        "error: trainer.precision: process 0 has 32-true, process 1 has bf16-mixed; "
        "name one that every device can, such as trainer.precision=32-true"
    ]
    assert second == []


def test_no_images_on_one_machine_end_both(tmp_path: Path, images: Path) -> None:
    ends = ended(agents(tmp_path / "out", images, NODES, second=(f"data.root={tmp_path / 'nowhere'}",)))
    first, second = errors(ends)
    assert first[0].startswith(f"error: process 1 of 2 failed: data.root={tmp_path / 'nowhere'}: no such folder")
    assert second[0].startswith(f"error: data.root={tmp_path / 'nowhere'}: no such folder")


def test_processes_that_the_settings_do_not_ask_for_are_refused(tmp_path: Path, images: Path) -> None:
    ends = ended(agents(tmp_path / "out", images))
    assert "torchrun started 2 processes, 1 on each machine; set trainer.devices=1 trainer.num_nodes=2" in ends[0][2]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path: Path, images: Path, killed: int) -> None:
    out = tmp_path / "out"
    processes = agents(out, images, NODES, "trainer.max_epochs=30")
    assert processes[0].stdout is not None
    for line in processes[0].stdout:
        if line.startswith("epoch 2/"):
            break
    os.kill(children_of(processes[killed].pid)[0], signal.SIGKILL)
    start = time.monotonic()
    ends = ended(processes, within=60)
    assert time.monotonic() - start < 60
    assert all(code != 0 for code, _, _ in ends)
    (line,) = errors(ends)[1 - killed]
    assert line.startswith("error: another process of this run ended, its output says why; go on with resume=")
    (run,) = (out / "small_different").iterdir()
    if killed == 1:
        ends = ended(agents(out, images, NODES, "trainer.max_epochs=30", f"resume={run}"))
        assert [code for code, _, _ in ends] == [0, 0], [err[-1500:] for _, _, err in ends]
        assert record_of(out)["status"] == "completed"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
@pytest.mark.parametrize(
    ("launch", "says"),
    [
        (agents, "process 0 of 2 shows no sign of life for 40 s"),
        (srun, "the process that holds the words of all 2 does not answer for 40 s"),
    ],
)
def test_a_first_process_that_is_stopped_while_it_solves_is_told_within_a_minute(
    tmp_path: Path, images: Path, launch: "type[agents]", says: str
) -> None:
    """The store of srun's processes lies in the first one, so that it is stopped too."""
    solves = ("strategy=feature_extraction", "optim=lbfgs", "cache.enabled=true")
    first, second = launch(tmp_path / "out", images, NODES, *solves, script="tests/stopped_solver.py")
    process = None
    try:
        process = stopped_of(first.pid, within=60)
        start = time.monotonic()
        code, _, err = ended([second], within=100)[0]
        assert time.monotonic() - start < 60, err[-1500:]
    finally:
        if process is not None:
            os.kill(process, signal.SIGKILL)
        ended([first], within=60)
    assert code != 0
    assert errors([(code, "", err)])[0][0].startswith(f"error: {says}")


def stopped_of(process: int, *, within: float) -> int:
    """The one of a process and its children that is stopped, which is awaited."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for one in (process, *children_of(process)):
            with contextlib.suppress(FileNotFoundError):  # it has ended
                if Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] == "T":  # proc(5)
                    return one
        time.sleep(0.2)
    pytest.fail("no process was stopped")


def children_of(parent: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

"""Several processes share the pass that stores frozen stages, and solve: as one process does, and none waits for ever.

They are started as a user would: by Lightning, or as torchrun and srun do on two machines.
"""

import filecmp
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import thawline

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "data.augment=none", "trainer.precision=32-true", "data.batch_size=5")
TINY += ("trainer.max_epochs=2", "strategy.batchnorm=eval")
TRAIN, SUMS, FAILING = ROOT / "train.py", ROOT / "tests" / "summing_processes.py", ROOT / "tests" / "failing_pass.py"
SPAWNING = ROOT / "tests" / "spawning.py"
NODES = "trainer.num_nodes=2"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # in each process: other work may go on here


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 training images, 21 for validation and 21 for the test, of three classes that overlap a little."""
    root = tmp_path_factory.mktemp("images")
    for split, count in (("train", 37), ("val", 21), ("test", 21)):
        for i in range(count):
            folder = root / split / ("reds", "greens", "blues")[i % 3]
            folder.mkdir(parents=True, exist_ok=True)
            colour = [60 + (17 * i + 5 * len(split) * c) % 71 for c in range(3)]
            colour[i % 3] += 60 * i % 67
            Image.new("RGB", (32, 32), tuple(colour)).save(folder / f"{i:02}.png")
    return root


def start(script: Path, out: Path, images: Path, *arguments: str, before: Sequence[str] = (), **environ: str) -> Any:
    where = ("data=folder", f"data.root={images}", f"output_dir={out}", f"cache.dir={out}_cache")
    tiny = [one for one in TINY if "scenario=auto" not in arguments or not one.startswith("strategy.")]
    return subprocess.Popen(
        [sys.executable, *before, str(script), *where, *tiny, *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | environ,
    )  # fmt: skip


def one(script: Path, out: Path, images: Path, *arguments: str, **environ: str) -> list[Any]:
    return [start(script, out, images, *arguments, **environ)]


def two(script: Path, out: Path, images: Path, *arguments: str, **environ: str) -> list[Any]:
    return [start(script, out, images, *arguments, "trainer.devices=2", **environ)]


def torchrun(script: Path, out: Path, images: Path, *arguments: str, **environ: str) -> list[Any]:
    """On two machines with a process each."""
    place = ["--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", free_port()]
    agents = (["-m", "torch.distributed.run", *place, "--node_rank", str(node)] for node in range(2))
    return [start(script, out, images, *arguments, NODES, before=agent, **environ) for agent in agents]


def srun(script: Path, out: Path, images: Path, *arguments: str, **environ: str) -> list[Any]:
    shared = {"SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train", "SLURM_LOCALID": "0"}
    shared |= {"SLURM_NTASKS_PER_NODE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()} | environ
    numbers = [{"SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)} for rank in range(2)]
    return [start(script, out, images, *arguments, NODES, **shared, **number) for number in numbers]


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def ended(processes: list[Any], *, within: float = 150.0) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each."""
    deadline = time.monotonic() + within
    try:
        texts = [process.communicate(timeout=max(1.0, deadline - time.monotonic())) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *of) for process, of in zip(processes, texts, strict=True)]


def completed(processes: list[Any], out: Path, *, scenario: str = "small_different") -> Path:
    """The folder of the run, of which there is one however many processes."""
    ends = ended(processes)
    assert {code for code, _, _ in ends} == {0}, [err[-2000:] for _, _, err in ends]
    (folder,) = (out / scenario).iterdir()
    return folder


def record(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return body


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]
    return state


def probabilities(folder: Path, images: Path) -> torch.Tensor:
    model = thawline.load(folder, accelerator="cpu")
    return torch.tensor([answer.probability for answer in model.predict(sorted((images / "test").rglob("*.png")))])


def assert_same_stores(one: Path, other: Path) -> None:
    names = [{path.name for path in Path(f"{out}_cache").iterdir() if path.is_dir()} for out in (one, other)]
    assert names[0] == names[1]
    shards = [path.relative_to(f"{one}_cache") for path in Path(f"{one}_cache").rglob("*.safetensors")]
    assert len(shards) >= 2
    same, different, missing = filecmp.cmpfiles(f"{one}_cache", f"{other}_cache", map(str, shards), shallow=False)
    assert (len(same), different, missing) == (len(shards), [], [])


SOLVED = {
    "stacked_probe": (TRAIN, ("strategy=stacked_probe",), 0.0),
    "sums": (SUMS, ("strategy=stacked_probe",), 1e-6),
    "lbfgs": (TRAIN, ("strategy=feature_extraction", "optim=lbfgs", "imbalance=weights"), 0.0),
    "multi_layer_probe": (TRAIN, ("strategy=multi_layer_probe",), 0.0),
    "partial": (TRAIN, ("strategy=partial_fine_tune", "data.batch_size=5"), 1e-5),
}


@pytest.mark.parametrize("name", SOLVED)
def test_two_processes_end_as_one_does(tmp_path: Path, images: Path, name: str) -> None:
    """Solved strategies to the bit, from sums to 1e-6 of the probabilities; training with the doubled batch to 1e-5."""
    script, arguments, difference = SOLVED[name]
    outs = tmp_path / "one", tmp_path / "two"
    alone = completed(one(script, outs[0], images, *arguments), outs[0])
    start = torchrun if name in ("stacked_probe", "partial") else two
    both = completed(start(script, outs[1], images, *arguments), outs[1])
    assert_same_stores(*outs)
    of_one, of_two = record(alone), record(both)
    assert of_two["status"] == "completed"
    assert of_two["cache"]["used"] is True
    assert of_two["machine"]["processes"] == 2
    assert sum(map(sum, of_two["classes"]["confusion"])) == 21
    if name == "partial":  # the batches are others; that they train alike is test_two_processes.py's
        return
    assert of_two["metrics"] == pytest.approx(of_one["metrics"], abs=1e-6)
    assert of_two["classes"] == of_one["classes"]
    assert of_two.get("expected") == of_one.get("expected")
    if difference == 0.0:
        states = weights(alone, "best.ckpt"), weights(both, "best.ckpt")
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    answers = [probabilities(folder, images) for folder in (alone, both)]
    assert float((answers[0] - answers[1]).abs().max()) <= difference


def test_a_blend_of_two_processes_is_that_of_one_with_the_doubled_batch(tmp_path: Path, images: Path) -> None:
    """Augmented: the suffix trains on random views, and the pass for the stack comes after it."""
    outs = tmp_path / "one", tmp_path / "two"
    blend = ("strategy=blend", "strategy.unfreeze_depth=2", "data.augment={min_scale:0.8}")
    alone = completed(one(TRAIN, outs[0], images, *blend, "data.batch_size=10"), outs[0])
    both = completed(torchrun(TRAIN, outs[1], images, *blend, "data.batch_size=5"), outs[1])
    of_one, of_two = record(alone), record(both)
    assert of_two["machine"]["processes"] == 2
    assert sum(map(sum, of_two["classes"]["confusion"])) == 21
    assert of_two["metrics"] == pytest.approx(of_one["metrics"], abs=1e-5)
    assert of_two["expected"] == pytest.approx(of_one["expected"], abs=1e-5)
    states = weights(alone, "best.ckpt"), weights(both, "best.ckpt")
    assert states[0].keys() == states[1].keys()
    assert max(float((states[0][key].float() - states[1][key].float()).abs().max()) for key in states[0]) < 1e-4
    assert float((probabilities(alone, images) - probabilities(both, images)).abs().max()) < 1e-4


def test_a_pass_and_a_test_with_spawned_processes_are_those_with_forked_ones(tmp_path: Path, images: Path) -> None:
    outs, given = (tmp_path / "forked", tmp_path / "spawned"), ("strategy=partial_fine_tune", "data.num_workers=1")
    scripts = zip((TRAIN, SPAWNING), outs, strict=True)
    forked, spawned = (completed(one(script, out, images, *given, **ONE_THREAD), out) for script, out in scripts)
    assert_same_stores(*outs)
    assert record(spawned)["metrics"] == record(forked)["metrics"]


def test_auto_solves_in_one_process_and_trains_in_both(tmp_path: Path, images: Path) -> None:
    given = ("scenario=auto", "budget.minutes=null", "data.batch_size=10")
    alone = completed(one(TRAIN, tmp_path / "one", images, *given, **ONE_THREAD), tmp_path / "one", scenario="auto")
    for start in (two, torchrun):
        out = tmp_path / start.__name__
        both = completed(start(TRAIN, out, images, *given, **ONE_THREAD), out, scenario="auto")
        of_one, of_two = ([record(path) for path in sorted((run / "rungs").iterdir())] for run in (alone, both))
        assert [rung["strategy"]["name"] for rung in of_two] == ["stacked_probe", "blend"]
        assert [rung["machine"]["processes"] for rung in of_two] == [1, 2]
        assert of_two[0]["expected"] == of_one[0]["expected"]
        assert of_two[1]["settings"]["data.batch_size"] == 5
        assert record(both)["advice"]["ended"] == "nothing further to try"


def test_auto_that_only_solves_ends_in_both(tmp_path: Path, images: Path) -> None:
    given = ("scenario=auto", "budget.minutes=0.0001")
    body = record(completed(torchrun(TRAIN, tmp_path, images, *given, **ONE_THREAD), tmp_path, scenario="auto"))
    assert body["machine"]["processes"] == 1
    assert "is spent" in body["advice"]["ended"]


def test_a_killed_process_is_told_within_a_minute_and_the_pass_goes_on(tmp_path: Path, images: Path) -> None:
    out, counts = tmp_path / "out", tmp_path / "counts"
    solved = "strategy=stacked_probe"
    processes = srun(FAILING, out, images, solved, FAILS="killed", COUNTS=str(counts))
    processes[1].wait(timeout=120)
    died = time.monotonic()
    first, _ = ended(processes, within=100)
    assert time.monotonic() - died < 60
    assert first[0] == 2
    (line,) = [line for line in first[2].splitlines() if line.startswith("error: ")]
    assert line == "error: process 1 of 2 shows no sign of life for 40 s; its output says why"
    assert sorted(counts.read_text().split()) == ["0"] * 4 + ["1"] * 2  # of the 8 batches of training images
    counts.unlink()
    done = ended(two(FAILING, out, images, solved, COUNTS=str(counts)))
    assert done[0][0] == 0, done[0][2][-2000:]
    assert len(counts.read_text().split()) == 2 + 5  # two that lacked, and those of the validation images
    alone = tmp_path / "alone"
    completed(one(TRAIN, alone, images, solved), alone)
    assert_same_stores(alone, out)


@pytest.mark.parametrize("start", [two, srun])
def test_what_a_process_cannot_read_ends_both_with_one_reason(tmp_path: Path, images: Path, start: Any) -> None:
    counts = str(tmp_path / "counts")
    arguments = ("strategy=feature_extraction", "trainer.max_epochs=4")
    ends = ended(start(FAILING, tmp_path / "out", images, *arguments, FAILS="image", COUNTS=counts), within=60)
    assert all(code != 0 for code, _, _ in ends)
    assert "error: process 1 of 2 failed: x.png: cannot be read" in ends[0][2]


def test_a_process_that_cannot_write_makes_both_read_the_images(tmp_path: Path, images: Path) -> None:
    out, counts = tmp_path / "out", str(tmp_path / "counts")
    arguments = ("strategy=feature_extraction", "trainer.max_epochs=4")
    both = completed(srun(FAILING, out, images, *arguments, FAILS="full", COUNTS=counts), out)
    assert record(both)["cache"]["reason"] == "not written: process 1 of 2 cannot write: no space left on device"
    ends = ended(srun(FAILING, tmp_path / "solved", images, "strategy=stacked_probe", FAILS="full", COUNTS=counts))
    assert {code for code, _, _ in ends} == {2}
    assert "they cannot be written (process 1 of 2 cannot write: no space left on device)" in ends[0][2]

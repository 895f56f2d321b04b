"""Two processes under every plan, thaws included: equal to each other, and to one with the doubled batch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "strategy.batchnorm=eval", "data.augment=none", "cache.enabled=false")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parameters after training, of both processes under every plan."""
    made = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    worker = [str(ROOT / "tests" / "two_processes.py"), str(made)]
    done = subprocess.run([*command, *worker], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


PLANS = ("constant", "gradual_unfreezing", "lp_ft", "norm_tuning", "bias_tuning", "surgical", "refreezing")


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_parameters_agree_across_processes_and_with_one_process(
    folder: Path, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall 12."""
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    import two_processes

    assert set(two_processes.PLANS) == set(PLANS)
    first, second = (torch.load(folder / f"{plan}_{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    alone = two_processes.fit(plan, batch_size=8, world_size=1, rank=0)
    assert largest_difference(first, alone) < 1e-5
    torch.manual_seed(0)
    start = two_processes.build_backbone("test_resnet", weights="none", image_size=32)
    moved = {f"backbone.{n}": p for n, p in start.named_parameters()}
    assert any(not torch.equal(moved[name], first[name]) for name in moved)  # something beside the head trained


def command(out: Path, images: Path, *arguments: str) -> list[str]:
    fixed = [sys.executable, str(ROOT / "train.py"), "data=folder", f"data.root={images}", *TINY]
    return [*fixed, *arguments, f"output_dir={out}", f"cache.dir={out}_cache"]


def the_run(out: Path) -> Path:
    (folder,) = (out / "small_different").iterdir()  # one folder, however many processes
    return folder


@pytest.mark.slow
def test_two_processes_from_the_command_line_leave_one_run_equal_to_one_with_the_doubled_batch(
    tmp_path: Path, image_folder: Path
) -> None:
    thawing = ("strategy=lp_ft", "strategy.thaw_after=1", "trainer.max_epochs=2", "trainer.precision=32-true")
    two = ("trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=4")
    for out, more in (("two", two), ("one", ("data.batch_size=8",))):
        done = subprocess.run(command(tmp_path / out, image_folder, *thawing, *more), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("Trainable: 194 /") == 1  # one process talks
    runs = [the_run(tmp_path / out) for out in ("two", "one")]
    assert len(list(runs[0].glob("events.out.tfevents.*"))) == 1
    states = [torch.load(r / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for r in runs]
    assert largest_difference(*({k: v.float() for k, v in state.items()} for state in states)) < 1e-5
    records = [json.loads((r / "run.json").read_text()) for r in runs]
    assert records[0]["metrics"] == pytest.approx(records[1]["metrics"], abs=1e-5)
    assert records[0]["cost"]["train_flops"] == records[1]["cost"]["train_flops"]
    assert [r["machine"]["processes"] for r in records] == [2, 1]
    log = (runs[0] / "train.log").read_text()
    assert log.count("Epoch 2: head, layer4, layer3 train.") == 1


@pytest.mark.slow
def test_sigterm_ends_both_processes(tmp_path: Path, image_folder: Path) -> None:
    arguments = ("trainer.devices=2", "data.batch_size=4", "trainer.max_epochs=100000")
    process = subprocess.Popen(
        command(tmp_path / "out", image_folder, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert json.loads((the_run(tmp_path / "out") / "run.json").read_text())["status"] == "interrupted"
    deadline = time.monotonic() + 20
    while survivors(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not survivors(tmp_path)


def survivors(out: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text().replace("\0", " ")
        except OSError:  # ended meanwhile
            continue
        if str(out) in text:
            texts.append(text)
    return texts

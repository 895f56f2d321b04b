"""A run that was cut off goes on bit for bit (pitfalls 7 and 22 to 26): weights, optimizer, schedule, logs, data."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[1]
# The thaw comes at epoch 2. Dropout, mixup and random crops draw random numbers; the average has a state of its own.
THAWING = (
    "strategy=lp_ft", "strategy.thaw_after=2", "trainer.max_epochs=4", "model.name=test_resnet", "model.weights=none",
    "model.image_size=32", "model/head=mlp", "data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1", "regularize.mixup=0.2", "regularize.ema_decay=0.9",
)  # fmt: skip
PLATEAU = ("optim.schedule=plateau", "optim.plateau_patience=0", "optim.restart_at_thaw=false")
KILLED = -signal.SIGKILL


def cut_off(tmp_path: Path, out: Path, *arguments: str, epoch: int, batch: int, number: int = signal.SIGKILL) -> int:
    """Run train.py in a process that ends itself; returns its exit code."""
    killer = {"_target_": "kill.CutOff", "epoch": epoch, "batch": batch, "marker": tmp_path / "cut", "number": number}
    overrides = [f"+callbacks.killer.{key}={value}" for key, value in killer.items()]
    command = [sys.executable, str(ROOT / "train.py"), *arguments, *overrides, f"output_dir={out}"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "THAWLINE_DEBUG": "0"}
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=300).returncode


def the_run(out: Path) -> Path:
    (folder,) = (out / "small_different").iterdir()
    return folder


def state(folder: Path) -> dict[str, Any]:
    body = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        key: body[key]
        for key in ("state_dict", "raw_weights", "optimizer_states", "lr_schedulers", "loops")
        if key in body
    }


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("cost/")]  # times differ
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def equal(a: Any, b: Any) -> bool:
    """Bitwise for tensors, exact for numbers, whatever holds them."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize(
    ("epoch", "batch", "more"),
    [(1, 1, ()), (2, 0, PLATEAU), (3, 2, ("data.num_workers=1",))],
    ids=["before", "at", "after"],
)
def test_a_killed_run_ends_as_the_uninterrupted_one(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, more: Any
) -> None:
    arguments = (*THAWING, "data=folder", f"data.root={image_folder}", *more)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert cut_off(tmp_path, tmp_path / "out", *arguments, epoch=epoch, batch=batch) == KILLED
    folder = the_run(tmp_path / "out")
    assert json.loads((folder / "run.json").read_text())["status"] == "running"  # SIGKILL leaves no time
    resumed = run_cli(f"resume={folder}")
    assert resumed.code == 0, resumed.err
    killed = shutil.copytree(folder, tmp_path / "killed")
    shutil.rmtree(tmp_path / "out")
    assert run_cli(*arguments).code == 0
    whole = the_run(tmp_path / "out")
    ours, theirs = state(killed), state(whole)
    for key in theirs:
        assert equal(ours[key], theirs[key]), key
    assert scalars(killed) == scalars(whole)
    records = [json.loads((f / "run.json").read_text()) for f in (killed, whole)]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[0]["status"] == "completed"
    assert records[0]["cost"]["train_flops"] == records[1]["cost"]["train_flops"]
    proofs = [json.loads((f / "freeze.json").read_text())["stages"] for f in (killed, whole)]
    assert proofs[0] == proofs[1]


def test_sigterm_says_interrupted_and_the_resumed_run_equals_the_uninterrupted_one(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*THAWING, "data=folder", f"data.root={image_folder}")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    code = cut_off(tmp_path, tmp_path / "out", *arguments, epoch=0, batch=2, number=signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    folder = the_run(tmp_path / "out")
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert run_cli(f"resume={folder}").code == 0
    killed = shutil.copytree(folder, tmp_path / "killed")
    shutil.rmtree(tmp_path / "out")
    assert run_cli(*arguments).code == 0
    assert equal(state(killed), state(the_run(tmp_path / "out")))

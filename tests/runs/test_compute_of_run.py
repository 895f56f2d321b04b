"""A resumed run keeps its precision, whatever the device would choose now, and says where the device is another."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from described_devices import A100, BF16_CPU, H100, LAPTOP, T4

from thawline.errors import UserError
from thawline.machine import compute as compute_module
from thawline.machine.compute import Compute
from thawline.machine.device import Device
from thawline.report.record_sections import MachineSection
from thawline.report.run_record import RunRecord
from thawline.runs.compute_of_run import compute_notes, compute_of, one_thread_note
from thawline.runs.resume import Boundary
from thawline.settings.run_settings import Settings

Run = Callable[..., Any]
SMALL = (
    "model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=8", "data.num_workers=0",
    "trainer.max_epochs=1", "data=folder",
)  # fmt: skip


def settings(precision: str = "auto", *, solves: bool = False) -> Settings:
    trainer = SimpleNamespace(accelerator="auto", precision=precision)
    return cast("Settings", SimpleNamespace(trainer=trainer, optim=SimpleNamespace(solves=solves)))


def boundary(device: Device, precision: str, prefix: str) -> Boundary:
    machine = MachineSection(device.name, device.kind, precision=precision, prefix_precision=prefix)
    record = RunRecord(run_id="r", scenario="s", seed=0, machine=machine)
    return Boundary(Path("out/r/checkpoints/last.ckpt"), 3, record)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Device], None]:
    return lambda device: monkeypatch.setattr(compute_module, "this_device", lambda accelerator, **_: device)


def test_a_fresh_run_takes_what_is_fast(on: Callable[[Device], None]) -> None:
    on(T4)
    compute = compute_of(settings(), None)
    assert compute.precision.trainer == "16-mixed"
    assert compute_notes(compute, None) == []


@pytest.mark.parametrize(("deterministic", "threads", "cores", "notes"), [
    (True, 1, 8, 1), (True, 8, 8, 0), (True, 1, 1, 0), (False, 1, 8, 0),
])  # fmt: skip
def test_one_thread_for_a_deterministic_run_is_told(
    monkeypatch: pytest.MonkeyPatch, deterministic: bool, threads: int, cores: int, notes: int
) -> None:
    monkeypatch.setattr("thawline.runs.compute_of_run.num_cores", lambda: cores)
    trainer = SimpleNamespace(arguments={"deterministic": deterministic})
    given = cast("Settings", SimpleNamespace(trainer=trainer, threads=threads))
    on_cpu = cast("Compute", SimpleNamespace(on_cpu=True))
    told = one_thread_note(on_cpu, given)
    assert len(told) == notes
    assert all("threads=8 takes all of them" in note for note in told)


def test_on_another_device_the_precision_stays_and_both_are_said(on: Callable[[Device], None]) -> None:
    on(H100)
    began = boundary(T4, "16-mixed", "float16")
    compute = compute_of(settings(), began)
    assert compute.precision.trainer == "16-mixed"
    (note,) = compute_notes(compute, began)
    assert "began on T4 and goes on with H100, in 16-mixed as before; auto would be bf16-mixed here" in note
    assert "not bit for bit" in note


def test_on_the_same_device_nothing_is_said(on: Callable[[Device], None]) -> None:
    on(A100)
    began = boundary(A100, "32-true", "float32")
    compute = compute_of(settings("32-true"), began)
    assert compute.precision.trainer == "32-true"
    assert compute_notes(compute, began) == []


def test_a_precision_that_this_device_lacks_is_refused(on: Callable[[Device], None]) -> None:
    on(BF16_CPU)
    with pytest.raises(UserError, match=r"^resume=out/r: the run began with 16-mixed on T4, .* or start a new run$"):
        compute_of(settings(), boundary(T4, "16-mixed", "float16"))


def test_slow_bf16_is_kept_and_said(on: Callable[[Device], None]) -> None:
    on(LAPTOP)
    began = boundary(BF16_CPU, "bf16-mixed", "bfloat16")
    compute = compute_of(settings(), began)
    assert compute.precision.prefix == torch.bfloat16
    assert "32-true is faster" in compute_notes(compute, began)[0]


def test_a_record_of_before_that_says_nothing_decides_anew(on: Callable[[Device], None]) -> None:
    on(A100)
    assert compute_of(settings(), boundary(T4, "", "")).precision.trainer == "bf16-mixed"


def test_a_solver_trains_without_a_loss_scaler_and_is_resumed_so(on: Callable[[Device], None]) -> None:
    on(T4)
    fresh = compute_of(settings(solves=True), None).precision
    assert (fresh.trainer, fresh.prefix) == ("32-true", torch.float16)
    assert compute_of(settings(solves=True), boundary(T4, "32-true", "float16")).precision == fresh


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_record_and_trainer_have_one_decision(run_cli: Run, image_folder: Path, tmp_path: Path, precision: str) -> None:
    result = run_cli(*SMALL, f"data.root={image_folder}", "trainer.accelerator=cpu", f"trainer.precision={precision}")
    assert result.code == 0, result.err
    (path,) = (tmp_path / "out").rglob("run.json")
    machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert (machine["accelerator"], machine["device"], machine["precision"]) == ("cpu", "cpu", precision)
    assert "tf32" not in machine


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("trainer.accelerator=tpu", "trainer.accelerator=tpu: allowed are auto, cpu, gpu, mps"),
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed: a CPU has no fast fp16"),
        ("trainer.precision=16", "trainer.precision=16: allowed are auto, 32-true, bf16-mixed, 16-mixed"),
    ],
)
@pytest.mark.parametrize("script", ["train.py", "scripts/advise.py"])
def test_what_cannot_be_is_one_line(run_cli: Run, image_folder: Path, script: str, override: str, says: str) -> None:
    more = SMALL[:3] if script == "scripts/advise.py" else SMALL
    given = {"data": "folder", "data.root": image_folder, "trainer.accelerator": "cpu"}
    given |= dict([override.split("=")])
    result = run_cli(
        *[one for one in more if one != "data=folder"], *(f"{k}={v}" for k, v in given.items()), script=script
    )
    assert result.code == 2
    assert says in result.err
    assert "Traceback" not in result.err


def test_a_resumed_run_goes_on_in_the_precision_it_began_with(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    """Its record is changed as if its first part had run in fp32 on a card, and been cut off."""
    first = run_cli(*SMALL, f"data.root={image_folder}", "trainer.accelerator=cpu", "trainer.max_epochs=2")
    assert first.code == 0, first.err
    (path,) = (tmp_path / "out").rglob("run.json")
    body = json.loads(path.read_text(encoding="utf-8"))
    body["status"] = "interrupted"
    body["machine"] |= {
        "device": "Tesla T4",
        "accelerator": "cuda",
        "precision": "32-true",
        "prefix_precision": "float32",
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    resumed = run_cli(f"resume={path.parent}")
    assert resumed.code == 0, resumed.err
    assert "the run began on Tesla T4 and goes on with this CPU, in 32-true as before" in resumed.out + resumed.err
    machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert (machine["device"], machine["precision"], machine["prefix_precision"]) == ("cpu", "32-true", "float32")

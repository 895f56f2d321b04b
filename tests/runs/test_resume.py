"""A run that was cut off goes on bit for bit (pitfalls 7 and 22 to 26): weights, optimizer, schedule, logs, data."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.callbacks.tensorboard import EventFileLogger
from thawline.report.collect import Skipped, collect
from thawline.report.run_record import RunRecord, load_record

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
# The thaw comes at epoch 2. Dropout, mixup and random crops draw random numbers; the average has a state of its own.
THAWING = (
    "strategy=lp_ft", "strategy.thaw_after=2", "trainer.max_epochs=4", "model.name=test_resnet", "model.weights=none",
    "model.image_size=32", "model/head=mlp", "data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1", "regularize.mixup=0.2", "regularize.ema_decay=0.9",
)  # fmt: skip
PLATEAU = ("optim.schedule=plateau", "optim.plateau_patience=0", "optim.restart_at_thaw=false")
KILLED = -signal.SIGKILL


def cut_off(tmp_path: Path, out: Path, *arguments: str, epoch: int, batch: int) -> int:
    """Run train.py in a process that kills itself; returns its exit code."""
    code, _ = cut_off_by_signal(tmp_path, out, *arguments, epoch=epoch, batch=batch, number=signal.SIGKILL)
    return code


def cut_off_by_signal(
    tmp_path: Path, out: Path, *arguments: str, epoch: int, batch: int, number: int
) -> tuple[int, str]:
    """Run train.py in a process that signals itself; returns its exit code and its last words."""
    killer = {"_target_": "kill.CutOff", "epoch": epoch, "batch": batch, "marker": tmp_path / "cut", "number": number}
    overrides = [f"+callbacks.killer.{key}={value}" for key, value in killer.items()]
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        *arguments,
        *overrides,
        f"output_dir={out}",
        f"cache.dir={tmp_path / 'cache'}",
    ]
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])  # the package that this process tests
    environment = os.environ | {"PYTHONPATH": paths, "THAWLINE_DEBUG": "0"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def collect_others(folder: Path) -> list[Skipped]:
    """What `compare` says of the runs in `folder` that it leaves out, beside one that is completed."""
    done = RunRecord("done", "small_different", 0, "completed").save(Path(tempfile.mkdtemp(dir=folder.parents[2])))
    return collect([done, folder])[1]


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
    [
        pytest.param(1, 1, (), id="before", marks=pytest.mark.slow),
        pytest.param(2, 0, PLATEAU, id="at", marks=pytest.mark.slow),
        pytest.param(3, 2, ("data.num_workers=1",), id="after", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_the_uninterrupted_one(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, more: Any
) -> None:
    arguments = (*THAWING, "data=folder", f"data.root={image_folder}", *more)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    assert cut_off(tmp_path, tmp_path / "out", *arguments, epoch=epoch, batch=batch) == KILLED
    folder = the_run(tmp_path / "out")
    (left_out,) = collect_others(folder)  # SIGKILL leaves no time: run.json says what was so at the epoch boundary
    at = f"killed while training, in epoch {epoch + 1} of 4, at step {4 * epoch}; last seen 2"
    assert left_out.reason.startswith(at)
    resumed = run_cli(f"resume={folder}")
    assert resumed.code == 0, resumed.err
    assert f"Resuming {folder.name} at epoch {epoch + 1} of 4" in resumed.out
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


def test_what_a_resumed_run_logs_replaces_even_what_was_written_in_the_same_second(tmp_path: Path) -> None:
    logged = {None: [(0, 1.0), (1, 2.0), (2, 3.0)], 1: [(1, 20.0)]}
    time.sleep(1 - time.time() % 1)
    for first_step, values in logged.items():
        logger = EventFileLogger(tmp_path, first_step=first_step)
        for step, value in values:
            logger.log_metrics({"val/loss": value}, step=step)
        logger.close()
        if first_step is None:  # a process whose number comes later in the order of names
            (file,) = tmp_path.iterdir()
            file.rename(file.with_name(file.name.replace(f".{os.getpid()}.", ".999999999.")))
    assert scalars(tmp_path) == {"val/loss": [(0, 1.0), (1, 20.0)]}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["feature_extraction", "multi_layer_probe"])
def test_a_killed_solver_goes_on_with_the_next_penalty(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    solving = ("optim=lbfgs", "optim.penalties=[1,0.1,0.01]", f"strategy={strategy}")
    arguments = (*solving, *SMALL, "data=folder", f"data.root={image_folder}")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    assert cut_off(tmp_path, tmp_path / "out", *arguments, epoch=1, batch=0) == KILLED
    folder = the_run(tmp_path / "out")
    assert run_cli(f"resume={folder}").code == 0
    killed = shutil.copytree(folder, tmp_path / "killed")
    shutil.rmtree(tmp_path / "out")
    assert run_cli(*arguments).code == 0
    whole = the_run(tmp_path / "out")
    assert equal(state(killed), state(whole))
    assert state(whole)["optimizer_states"][0]["param_groups"][0]["num_done"] == 3
    assert scalars(killed) == scalars(whole)
    strategies = [json.loads((f / "run.json").read_text())["strategy"] for f in (killed, whole)]
    assert strategies[0] == strategies[1]


@pytest.mark.slow
def test_sigterm_says_interrupted_and_the_resumed_run_equals_the_uninterrupted_one(
    run_cli: Run, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*THAWING, "data=folder", f"data.root={image_folder}")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    out = tmp_path / "out"
    code, last_line = cut_off_by_signal(tmp_path, out, *arguments, epoch=0, batch=2, number=signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    folder = the_run(tmp_path / "out")
    at = "by SIGTERM while training, in epoch 1 of 4, at step 2"
    assert last_line == f"interrupted {at}; go on with: thawline resume={folder} output_dir={out}"
    record = load_record(folder / "run.json")
    assert (record.status, record.progress.signal) == ("interrupted", "SIGTERM")
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert run_cli(f"resume={folder}").code == 0
    killed = shutil.copytree(folder, tmp_path / "killed")
    shutil.rmtree(tmp_path / "out")
    assert run_cli(*arguments).code == 0
    assert equal(state(killed), state(the_run(tmp_path / "out")))


SHORT = (*THAWING, "trainer.max_epochs=1", "strategy.thaw_after=0", "strategy.thaw_lr=null", "data=folder")


@pytest.fixture
def cut_run(run_cli: Run, image_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of one short run, made for the first test that asks, that is said to have been cut off."""
    kept = tmp_path_factory.getbasetemp() / "cut_run"
    if not kept.is_dir():
        images = shutil.copytree(image_folder, tmp_path_factory.getbasetemp() / "cut_run_images")
        assert run_cli(*SHORT, f"data.root={images}").code == 0
        shutil.move(the_run(tmp_path / "out"), kept)
    folder = shutil.copytree(kept, tmp_path / "out" / "small_different" / "cut")
    set_status(folder, "running")
    return folder


def images_of(folder: Path) -> str:
    return str(OmegaConf.load(folder / "config.yaml").data.root)


def set_status(folder: Path, status: str) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status}))


def refused(result: Any) -> str:
    lines = result.err.strip().splitlines()
    assert (result.code, len(lines)) == (2, 1), result.err
    return str(lines[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "train.log"}


def test_a_run_killed_after_its_training_is_tested_and_completed(run_cli: Run, cut_run: Path) -> None:
    metrics = json.loads((cut_run / "run.json").read_text())["metrics"]
    assert run_cli(f"resume={cut_run}").code == 0
    record = json.loads((cut_run / "run.json").read_text())
    assert (record["status"], record["metrics"]) == ("completed", metrics)
    assert record["freeze"]["verified"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda run: (run / "checkpoints" / "last.ckpt").unlink(), "has no checkpoints/last.ckpt, so there is nothing"),
        (lambda run: set_status(run, "completed"), "the run is completed; start a new one, without resume"),
        (lambda run: (run / "run.json").write_text("{"), "run.json: not a readable run record"),
        (lambda run: (run / "checkpoints" / "last.ckpt").write_text("x"), "last.ckpt: not a readable checkpoint"),
        (lambda run: (run / "config.yaml").unlink(), "has no config.yaml"),
    ],
    ids=["checkpoint", "completed", "record", "damaged", "config"],
)
def test_what_cannot_be_resumed_is_an_error_and_never_a_fresh_start(
    run_cli: Run, cut_run: Path, spoil: Callable[[Path], object], says: str
) -> None:
    """Pitfall 24."""
    spoil(cut_run)
    before = contents(cut_run)
    assert says in refused(run_cli(f"resume={cut_run}"))
    after = contents(cut_run)
    assert {name for name in before if not name.endswith("run.json")} <= set(after)  # nothing is lost
    assert len(list(cut_run.parent.iterdir())) == 1  # and no other run begun


def test_the_overrides_that_a_run_was_made_with_may_be_repeated(run_cli: Run, cut_run: Path) -> None:
    result = run_cli(*SHORT, f"data.root={images_of(cut_run)}", f"resume={cut_run}")
    assert result.code == 0, result.err


def test_a_resumed_run_keeps_its_config(run_cli: Run, cut_run: Path) -> None:
    line = refused(run_cli(*SHORT, "data.batch_size=8", f"data.root={images_of(cut_run)}", f"resume={cut_run}"))
    assert f"resume={cut_run}: was made with data.batch_size=4, this command says 8" in line
    assert json.loads((cut_run / "run.json").read_text())["status"] == "running"


@pytest.mark.parametrize("override", ["trainer.max_epochs=5", "optim.lr=0.1", "seed=3"])
def test_an_override_that_changes_the_run_is_named(run_cli: Run, cut_run: Path, override: str) -> None:
    key, _, value = override.partition("=")
    line = refused(run_cli(f"resume={cut_run}", override))
    assert f"was made with {key}=" in line
    assert f"this command says {value}; a resumed run keeps its config" in line


def test_a_config_outside_the_outputs_is_not_trusted(run_cli: Run, cut_run: Path, tmp_path: Path) -> None:
    """Pitfall 20: a config names code to run."""
    elsewhere = shutil.copytree(cut_run, tmp_path / "from_a_stranger")
    assert "lies outside output_dir" in refused(run_cli(f"resume={elsewhere}"))


def test_a_folder_that_another_process_works_in_is_left_alone(run_cli: Run, cut_run: Path) -> None:
    with FileLock(cut_run / ".lock"):
        before = contents(cut_run)
        assert "another process is working in this folder" in refused(run_cli(f"resume={cut_run}"))
        assert contents(cut_run) == before


def test_resume_is_for_one_run(run_cli: Run, cut_run: Path) -> None:
    assert "goes on with one run; leave out -m" in run_cli("-m", f"resume={cut_run}", "seed=0,1").err


def test_a_poisoned_checkpoint_runs_nothing(run_cli: Run, cut_run: Path, tmp_path: Path) -> None:
    """Pitfall 1: `_instantiator` and pickled calls; weights_only refuses both."""
    canary = tmp_path / "canary"

    class Poison:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {canary}",)

    last = cut_run / "checkpoints" / "last.ckpt"
    body = torch.load(last, weights_only=True)
    torch.save(body | {"hyper_parameters": {"_instantiator": "os.system"}, "poison": Poison()}, last)
    assert "not a readable checkpoint" in refused(run_cli(f"resume={cut_run}"))
    assert not canary.exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    run_cli: Run, cut_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall 23: Lightning's save swallows a PermissionError and reports success."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", refuse)
    set_status(cut_run, "interrupted")
    (cut_run / "checkpoints" / "best.ckpt").unlink()
    result = run_cli(f"resume={cut_run}")
    assert result.code != 0
    assert json.loads((cut_run / "run.json").read_text())["status"] == "failed"


STOPPING = ("callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optim.lr=0", "optim.backbone_lr=0")
SMALL = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=4")
SMALL += ("data.num_workers=0", "trainer.accelerator=cpu", "data.augment=none")


def test_an_early_stop_is_certified_as_it_was_and_not_undone_by_a_resume(
    run_cli: Run, image_folder: Path, tmp_path: Path
) -> None:
    gradual = ("strategy=gradual_unfreezing", "trainer.max_epochs=6")
    assert run_cli("data=folder", f"data.root={image_folder}", *SMALL, *STOPPING, *gradual).code == 0
    folder = the_run(tmp_path / "out")
    proof = json.loads((folder / "freeze.json").read_text())
    assert proof["epochs"] == 2  # nothing improves at a rate of 0
    assert {s["name"]: s["epochs"] for s in proof["stages"] if s["epochs"]} == {"head": [[0, 1]], "layer4": [[1, 1]]}
    record = json.loads((folder / "run.json").read_text())
    assert record["freeze"]["frozen_stages"] == 6
    before = state(folder)
    set_status(folder, "interrupted")
    assert run_cli(f"resume={folder}").code == 0
    assert equal(before, state(folder))
    assert json.loads((folder / "freeze.json").read_text()) == proof


def test_a_moved_run_keeps_its_best_checkpoint(run_cli: Run, cut_run: Path, tmp_path: Path) -> None:
    best = torch.load(cut_run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    metrics = json.loads((cut_run / "run.json").read_text())["metrics"]
    moved = tmp_path / "out" / "elsewhere"
    cut_run.rename(moved)
    assert run_cli(f"resume={moved}").code == 0
    assert equal(torch.load(moved / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"], best)
    assert json.loads((moved / "run.json").read_text())["metrics"] == metrics


def test_a_resumed_run_mixes_with_the_pretrained_weights_once(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    mixing = ("model.name=tf_efficientnet_lite0", "model.weights=embedded", "regularize.wise_ft=0.5")
    arguments = (*SMALL, *mixing, "trainer.max_steps=1", "strategy.unfreeze_depth=1")
    assert run_cli("data=folder", f"data.root={image_folder}", *arguments).code == 0
    folder = the_run(tmp_path / "out")
    best = folder / "checkpoints" / "best.ckpt"
    before = torch.load(best, weights_only=True)["state_dict"]
    set_status(folder, "interrupted")
    assert run_cli(f"resume={folder}").code == 0
    assert equal(before, torch.load(best, weights_only=True)["state_dict"])


def test_other_images_than_the_run_began_with_are_refused(run_cli: Run, cut_run: Path) -> None:
    added = Path(images_of(cut_run)) / "cats" / "new.png"
    Image.new("RGB", (32, 32), (1, 2, 3)).save(added)
    line = run_cli(f"resume={cut_run}").err
    added.unlink()
    assert f"resume={cut_run}: the run began with data.fingerprint" in line
    assert "bring the data back, or start a new run" in line

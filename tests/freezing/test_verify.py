"""The freeze certificate can be recomputed from files alone, and a changed file is seen."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from thawline.freezing.bound_plan import bind
from thawline.freezing.certificate import epochs_trained
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=8")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=3", "regularize.ema_decay=0.9")


@pytest.fixture
def run(run_cli: Run, image_folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of one run, made for the first test that asks."""
    kept = tmp_path_factory.getbasetemp() / "verified_run"
    if not kept.is_dir():
        shutil.copytree(_made(run_cli, image_folder, tmp_path), kept)
    return shutil.copytree(kept, tmp_path / "copy")


def _made(run_cli: Run, image_folder: Path, tmp_path: Path) -> Path:
    thawing = ("strategy=lp_ft", "strategy.thaw_after=1", "strategy.unfreeze_depth=1")
    assert run_cli("data=folder", f"data.root={image_folder}", *TINY, *thawing).code == 0
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    return folder


def verify(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["verify_freeze.py", str(folder)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "scripts" / "verify_freeze.py"), run_name="__main__")
    return int(stop.value.code or 0)


def change(checkpoint: Path, name: str) -> None:
    body = torch.load(checkpoint, weights_only=True)
    body["state_dict"][name] += 1
    torch.save(body, checkpoint)


def leave_out(checkpoint: Path, name: str) -> None:
    body = torch.load(checkpoint, weights_only=True)
    del body["state_dict"][name]
    torch.save(body, checkpoint)


def test_a_certificate_holds_until_a_bit_of_a_checkpoint_changes(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {stage["name"]: stage for stage in json.loads((run / "freeze.json").read_text())["stages"]}
    assert stages["layer1"]["epochs"] == []
    assert stages["layer4"]["epochs"] == [[1, 2]]
    assert stages["layer1"]["before"] == stages["layer1"]["after"]
    assert stages["layer4"]["before"] != stages["layer4"]["after"]
    assert verify(run, monkeypatch) == 0
    assert "The certificate holds." in capsys.readouterr().out
    best = run / "checkpoints" / "best.ckpt"
    change(best, "backbone.model.layer1.0.bn1.num_batches_tracked")
    assert verify(run, monkeypatch) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "BROKEN: 1 of 8 parts" in out
    assert "backbone.model.layer1.0.bn1.num_batches_tracked is frozen, but differs in best.ckpt" in out


def test_a_trained_stage_must_be_what_was_certified(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for checkpoint, name in (("last.ckpt", "backbone.model.layer4.0.conv1.weight"), ("best.ckpt", "head.weight")):
        change(run / "checkpoints" / checkpoint, name)
        assert verify(run, monkeypatch) == 1
        assert f"{checkpoint} differs from the certificate" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda run: (run / "freeze.json").unlink(), "holds no freeze certificate (freeze.json): only a completed run"),
        (lambda run: (run / "freeze.json").write_text("{}"), "not a freeze certificate of schema 1"),
        (lambda run: (run / "freeze.json").write_text('{"schema": 1}'), "an incomplete certificate ('model')"),
        (lambda run: (run / "checkpoints" / "last.ckpt").write_text("x"), "last.ckpt: not a readable checkpoint"),
        (lambda run: leave_out(run / "checkpoints" / "best.ckpt", "head.bias"), "best.ckpt hold different tensors"),
    ],
)
def test_what_cannot_be_checked_is_told_in_one_line(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], object],
    says: str,
) -> None:
    spoil(run)
    assert verify(run, monkeypatch) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_other_pretrained_weights_are_noticed(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.loads((run / "freeze.json").read_text())
    body["seed"] = 1  # draws other random weights
    (run / "freeze.json").write_text(json.dumps(body))
    assert verify(run, monkeypatch) == 2
    assert "is not what the run started from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("forge", "says"),
    [
        (lambda body: body["stages"].clear(), "BROKEN: 8 of 8 parts"),
        (lambda body: body["stages"].pop(2), "not in the certificate"),
        (lambda body: body["stages"][0].update(unchanged=False), "unchanged differs from the certificate"),
        (lambda body: body["stages"][0].update(epochs=[[0, 1]]), "conv1.0: the plan differs from the certificate"),
        (lambda body: body["stages"][0].update(name="conv9"), "not in the model"),
    ],
)
def test_a_forged_certificate_is_broken(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    forge: Callable[[dict[str, Any]], object],
    says: str,
) -> None:
    body = json.loads((run / "freeze.json").read_text())
    forge(body)
    (run / "freeze.json").write_text(json.dumps(body))
    monkeypatch.setenv("COLUMNS", "160")
    assert verify(run, monkeypatch) == 1
    assert says in " ".join(capsys.readouterr().out.split())


def test_epochs_trained_are_spans(tiny_backbone: Backbone) -> None:
    phases = [
        {"from_epoch": 0, "stages": ["head", -1]},
        {"from_epoch": 2, "stages": ["head"]},
        {"from_epoch": 3, "stages": [-1]},
    ]
    head = LinearHead(tiny_backbone.num_features, 2)
    bound = bind(StrategySettings("test", phases=phases), tiny_backbone, head)
    assert epochs_trained(bound, "layer4", 5) == [[0, 1], [3, 4]]
    assert epochs_trained(bound, "head", 5) == [[0, 2]]
    assert epochs_trained(bound, "layer1", 5) == []

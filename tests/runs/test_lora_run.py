"""strategy=lora from the command line: the base unchanged bit for bit, adapters merged in the model that is left."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from thawline import load, train
from thawline.deploy.older_run import read_older_run
from thawline.errors import UserError
from thawline.freezing.bound_plan import bind
from thawline.freezing.verify import verify
from thawline.models.adapted_names import ADAPTER
from thawline.models.adapters import add_adapters
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.models.load_checkpoint import load_checkpoint
from thawline.settings.lora_settings import LoraSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
SIZE = 32  # pixels: 4 patches of 16
LORA = LoraSettings(rank=4, alpha=32.0, dropout=0.1)
ARGUMENTS = (
    "strategy=lora", "strategy.lora.rank=4", "strategy.lora.alpha=32", "strategy.lora.dropout=0.1", "data=folder",
    "strategy.unfreeze_depth=2", "strategy.adamw.backbone_lr=0.05", "model.name=test_vit", f"model.image_size={SIZE}",
    "data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.precision=32-true",
)  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, noise = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, colour in (("cats", (200, 60, 60)), ("dogs", (60, 60, 200))):
        (folder / name).mkdir()
        for i in range(10):
            pixels = np.clip(np.array(colour) + noise.integers(-40, 40, (SIZE, SIZE, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1234)
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model("test_vit", img_size=SIZE, num_classes=0).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images: Path, weights: Path) -> Path:
    """A completed run with adapters in the last two of seven stages."""
    pytest.importorskip("peft")
    out = tmp_path_factory.mktemp("lora")
    places = (f"data.root={images}", f"output_dir={out}", f"cache.dir={out / 'cache'}", f"model.weights={weights}")
    train([*ARGUMENTS, *places, "trainer.max_epochs=2"])
    (folder,) = (path.parent for path in out.rglob("run.json"))
    return folder


def test_adapters_and_head_alone_train_and_the_certificate_holds(run: Path, weights: Path) -> None:
    record, proof = (json.loads((run / name).read_text()) for name in ("run.json", "freeze.json"))
    in_block = 4 * (64 + 192) + 4 * (64 + 64)  # rank * (inputs + outputs) of qkv and of proj
    assert record["params"]["trainable"] == 2 * in_block + 2 * 64 + 2
    assert record["freeze"]["verified"]
    epochs = {stage["name"]: stage["epochs"] for stage in proof["stages"]}
    assert {name: spans for name, spans in epochs.items() if spans} == {"adapters": [[0, 1]], "head": [[0, 1]]}
    assert all(stage["unchanged"] for stage in proof["stages"] if stage["name"] not in ("adapters", "head"))
    assert not [problem for check in verify(run) for problem in check.problems]
    state, pretrained = load_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"], load_file(weights)
    held = {name.replace(".base_layer", "").removeprefix("backbone.model."): t for name, t in state.items()}
    assert all(torch.equal(held[name], tensor) for name, tensor in pretrained.items())
    assert len([name for name in state if ADAPTER in name]) == 2 * 2 * 2


def test_the_optimizer_holds_adapters_and_head_only(run: Path) -> None:
    (state,) = load_checkpoint(run / "checkpoints" / "last.ckpt")["optimizer_states"]
    assert sum(len(group["params"]) for group in state["param_groups"]) == 2 * 2 * 2 + 2


def test_a_changed_base_weight_and_a_changed_adapter_are_noticed(run: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(run, tmp_path / "copy")
    path = copied / "checkpoints" / "best.ckpt"
    body = torch.load(path, weights_only=True)
    body["state_dict"]["backbone.model.blocks.5.attn.qkv.base_layer.bias"][0] += 1
    body["state_dict"]["backbone.model.blocks.5.attn.qkv.lora_B.default.weight"][0] += 1
    torch.save(body, path)
    problems = {check.name: check.problems for check in verify(copied) if check.problems}
    assert list(problems) == ["blocks.5", "adapters"]
    assert "backbone.model.blocks.5.attn.qkv.bias is frozen, but differs in best.ckpt" in problems["blocks.5"]


def test_the_model_that_is_left_needs_no_peft_and_answers_as_the_unmerged_one(run: Path, weights: Path) -> None:
    state = load_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"]
    plain = load_file(run / "model" / "model.safetensors")
    assert not [name for name in plain if ADAPTER in name or "base_layer" in name]
    backbone = Backbone("test_vit", weights=weights, image_size=SIZE)
    add_adapters(backbone, [5, 6], LORA)
    strategy = StrategySettings("lora", unfreeze_depth=2, parameters="lora", batchnorm="eval", lora=LORA)
    unmerged = TransferClassifier(bind(strategy, backbone, LinearHead(64, 2)), num_classes=2, optim={}).eval()
    unmerged.load_state_dict(state)
    batch = torch.randint(0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = unmerged(batch)
        torch.testing.assert_close(load(run, precision="32-true").net(batch), wanted, rtol=0, atol=1e-5)
    moved = plain["backbone.model.blocks.5.attn.qkv.weight"] - load_file(weights)["blocks.5.attn.qkv.weight"]
    assert moved.abs().max() > 1e-3  # the adapters learned something
    _, again = read_older_run(run)  # what `export --format model` makes of the checkpoint
    assert all(torch.equal(again[name], tensor) for name, tensor in plain.items() if not name.startswith("unknown."))


def test_adapters_that_are_asked_for_but_not_there_are_one_line() -> None:
    line = "no stage that trains holds an adapter; put some in before"
    with pytest.raises(UserError, match=re.escape(line)):
        TransferClassifier("test_vit", weights="none", num_classes=2, parameters="lora", image_size=SIZE)


@pytest.mark.slow
def test_a_run_that_was_killed_ends_as_the_uninterrupted_one(
    run_cli: Run, images: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    arguments = [*ARGUMENTS, f"data.root={images}", f"model.weights={weights}", "trainer.max_epochs=3"]
    killer = {"_target_": "kill.CutOff", "epoch": 1, "batch": 1, "marker": tmp_path / "cut"}
    places = [f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'cache'}"]
    cut_off = [*arguments, *places, *(f"+callbacks.killer.{key}={value}" for key, value in killer.items())]
    paths = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    command = [sys.executable, str(ROOT / "train.py"), *cut_off]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    monkeypatch.syspath_prepend(str(ROOT / "tests"))  # of the callback in the run's config
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    assert run_cli(f"resume={folder}").code == 0
    assert run_cli(*arguments).code == 0
    states = [load_checkpoint(path)["state_dict"] for path in sorted((tmp_path / "out").rglob("last.ckpt"))]
    assert len(states) == 2
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())

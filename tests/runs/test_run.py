"""One run and one sweep, from the command line to what they leave behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

Run = Callable[..., Any]
LITE0_PARAMS = 3_371_008  # EfficientNet-Lite0 without its classifier
BACKBONE = ("model.name=test_resnet", "model.weights=none")


def read_records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.rglob("run.json"))]


def read_events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def read_hparams(folder: Path) -> dict[str, type]:
    content = read_events(folder).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: str if value.WhichOneof("kind") == "string_value" else float for key, value in hparams.items()}


def test_a_run_leaves_record_config_log_checkpoints_and_one_event_file(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    result = run_cli("scenario=small_similar", "data=folder", f"data.root={image_folder}", *tiny_run)
    assert result.code == 0, result.err
    assert f"Trainable: 2,562 / {LITE0_PARAMS + 2562:,} (0.08%)" in result.out
    (folder,) = (tmp_path / "out" / "small_similar").iterdir()
    assert {p.name for p in folder.iterdir() if "tfevents" not in p.name and p.name != ".lock"} == {
        "config.yaml", "run.json", "splits.csv", "freeze.json", "model", "checkpoints", "train.log",
        "projector", "projector_config.pbtxt",
    }  # fmt: skip
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert "Trainable: 2,562" in (folder / "train.log").read_text()
    assert OmegaConf.load(folder / "config.yaml").data.root == str(image_folder)
    (record,) = read_records(tmp_path / "out")
    assert (record["status"], record["run_id"], record["seed"]) == ("completed", folder.name, 0)
    fingerprint = record["data"].pop("fingerprint")
    counts = {"num_train": 16, "num_val": 4, "num_test": 4, "num_classes": 2}
    assert record["data"] == {"name": "images", **counts, "decoded_side": 2 * 73}  # 64 / 0.875 is resized to
    assert len(fingerprint) >= 32
    assert record["strategy"] == {
        "name": "feature_extraction", "unfreeze_depth": 0, "parameters": "all", "batchnorm": "train",
        "planned_phases": 1, "tested_weights": "last", "tested_why": "schedule cosine falls to zero",
        "phases": [{"from_epoch": 0, "stages": ["head"]}],
    }  # fmt: skip
    assert record["params"] == {"trainable": 2562, "total": LITE0_PARAMS + 2562}
    assert record["freeze"].pop("guard_s") > 0
    assert record["freeze"] == {"verified": True, "checks": 3, "frozen_stages": 9}
    scores = {f"{split}/{name}" for split in ("val", "test") for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    assert set(record["metrics"]) == {*scores, "test/loss"}
    cost = record["cost"]
    assert cost.pop("price") is None
    assert (cost.pop("energy_j") or 1) > 0  # where the hardware tells
    assert all(cost[key] > 0 for key in cost if key not in ("images_per_s", "cache_s")), cost
    assert cost["setup_s"] + cost["cache_s"] + cost["fit_s"] + cost["test_s"] == pytest.approx(cost["wall_s"], rel=0.1)
    assert record["classes"]["names"] == ["cats", "dogs"]
    assert np.sum(record["classes"]["confusion"], 1).tolist() == [2, 2]
    assert [step for step, _ in record["curves"]["val/accuracy"]] == [2]
    assert record["settings"]["strategy.name"] == "feature_extraction"
    assert not {"seed", "output_dir", "sweep.depths"} & set(record["settings"])
    assert record["advice"] == {}


def test_event_file_holds_the_contracts_keys_and_the_finals_equal_run_json(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    run_cli("data=folder", f"data.root={image_folder}", *BACKBONE, "trainer.log_every_n_steps=1", *tiny_run)
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    events, (record,) = read_events(folder), read_records(tmp_path / "out")
    tags = set(events.Tags()["scalars"])
    assert tags >= {"train/loss", "train/accuracy", "val/accuracy", "val/loss", "test/accuracy", "test/loss"}
    assert tags >= {"lr/head", "lr/layer4", "lr/layer3", "freeze/trainable_params", "freeze/unfreeze_depth"}
    assert "lr/layer2" not in tags  # frozen: not in the optimizer
    assert "hp_metric" not in tags
    for key, value in record["metrics"].items():
        assert events.Scalars(key)[-1].value == pytest.approx(value, rel=1e-6)
    assert {"freeze_plan", "test/confusion"} <= set(events.Tags()["images"])
    for key, value in record["cost"].items():
        if value is None:  # no price is known
            continue
        assert events.Scalars(f"cost/{key}")[-1].value == pytest.approx(value, rel=1e-6)
    assert any(tag.startswith("model_status") for tag in events.Tags()["tensors"])


def test_a_sweep_leaves_one_folder_and_record_per_run_with_the_same_typed_hyperparameters(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    data = ("data=folder", f"data.root={image_folder}", *BACKBONE)
    in_process = "hydra/launcher=basic"
    result = run_cli("-m", in_process, "scenario=small_different", "strategy.unfreeze_depth=0,2,all", *data, *tiny_run)
    assert result.code == 0, result.err
    (sweep,) = (tmp_path / "out" / "multirun").iterdir()
    folders = sorted(p for p in sweep.iterdir() if p.is_dir())
    assert [folder.name for folder in folders] == ["0_unfreeze_depth=0", "1_unfreeze_depth=2", "2_unfreeze_depth=all"]
    records = read_records(sweep)
    assert [r["strategy"]["unfreeze_depth"] for r in records] == [0, 2, "all"]
    headings = [line for line in result.out.splitlines() if line.startswith("Run ")]
    assert headings == [f"Run {folder.name}" for folder in folders]
    assert result.out.count("the frozen stages hold random weights") == 2  # not where every stage trains
    assert [r["freeze"]["frozen_stages"] for r in records] == [7, 5, 0]
    assert records[2]["params"]["trainable"] == records[2]["params"]["total"]
    keys = [read_hparams(folder) for folder in folders]
    assert keys[0] == keys[1] == keys[2]
    assert keys[0]["unfreeze_depth"] is float
    assert keys[0]["seed"] is float


def test_a_second_run_equals_the_first_bit_by_bit(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    for depth in ("2", "all", "2"):  # another run in between must leave nothing behind
        data = ("data=folder", f"data.root={image_folder}", *BACKBONE)
        assert run_cli(*data, f"strategy.unfreeze_depth={depth}", *tiny_run).code == 0
    first, between, second = sorted((tmp_path / "out" / "small_different").iterdir())
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]  # plain tensors only
        for folder in (first, between, second)
    ]
    assert all(torch.equal(value, states[2][key]) for key, value in states[0].items())
    assert any(not torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize(
    ("more", "tested", "rule"),
    [
        ((), 6, "last weights, epoch 3; schedule cosine falls to zero"),
        (("tested_weights=val_accuracy",), 2, "best by validation accuracy, epoch 1"),
        (("tested_weights=val_loss",), 2, "best by validation loss, epoch 1"),
        (("optim.schedule=constant",), 2, "best by validation accuracy, epoch 1; schedule constant does not fall to"),
    ],
    ids=["auto", "val_accuracy", "val_loss", "constant_rate"],
)
def test_best_checkpoint_holds_the_weights_that_are_tested(
    run_cli: Run, image_folder: Path, tmp_path: Path, more: tuple[str, ...], tested: int, rule: str
) -> None:
    arguments = ("optim.lr=0", "optim.backbone_lr=0", "trainer.max_epochs=3", "data.batch_size=8", "data.num_workers=0")
    result = run_cli("data=folder", f"data.root={image_folder}", *BACKBONE, "model.image_size=32", *arguments, *more)
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    steps = {
        name: torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("best", "last")
    }
    assert steps == {"best": tested, "last": 6}  # 2 steps an epoch; at a rate of 0 the first of equals is the best
    assert rule in " ".join(result.out.replace("│", " ").split())


def test_the_end_of_a_bounded_run_is_validated(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    arguments = ("trainer.max_steps=3", "data.batch_size=8", "data.num_workers=0", "model.image_size=32")
    assert run_cli("data=folder", f"data.root={image_folder}", *BACKBONE, *arguments).code == 0
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    assert [event.step for event in read_events(folder).Scalars("val/loss")] == [1, 2]  # counted from 0


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_failed_run_and_ends_with_its_error(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    data = ("data=folder", f"data.root={image_folder}", *BACKBONE)
    result = run_cli("-m", "hydra/launcher=basic", "strategy.unfreeze_depth=0,99,1", *data, *tiny_run)
    assert result.code == 2
    assert result.err.count("error: strategy.unfreeze_depth=99: test_resnet has 7 stages") == 1
    statuses = [r["status"] for r in read_records(tmp_path / "out")]
    assert statuses == ["completed", "failed", "completed"]


def test_from_scratch_takes_no_pretrained_weights(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path
) -> None:
    data = ("data=folder", f"data.root={image_folder}", "model.weights=embedded")
    assert run_cli("strategy=from_scratch", *data, *tiny_run).code == 0
    (record,) = read_records(tmp_path / "out")
    assert (record["model"]["weights"], record["strategy"]["name"]) == ("none", "from_scratch")
    assert record["params"]["trainable"] == record["params"]["total"]


def test_early_stopping_stops(run_cli: Run, image_folder: Path) -> None:
    result = run_cli(
        "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "data=folder", f"data.root={image_folder}",
        *BACKBONE, "model.image_size=32", "data.num_workers=0", "optim.lr=0", "optim.backbone_lr=0",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "epoch 2/10" in result.out  # a learning rate of 0 brings no better epoch
    assert "epoch 3/10" not in result.out


def test_a_users_own_head_by_target(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_heads.py").write_text(
        "from torch import nn\n"
        "class TwoLayerHead(nn.Sequential):\n"
        "    def __init__(self, num_features, num_classes):\n"
        "        super().__init__(nn.Linear(num_features, 3), nn.Linear(3, num_classes))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = ("data=folder", f"data.root={image_folder}", *BACKBONE)
    assert run_cli("model.head._target_=my_heads.TwoLayerHead", *data, *tiny_run).code == 0
    assert read_records(tmp_path / "out")[0]["model"]["head"] == "twolayer"


def test_a_bounded_run_says_so_and_names_the_way_out(
    run_cli: Run, tiny_run: tuple[str, ...], image_folder: Path
) -> None:
    result = run_cli("scenario=large_similar", "data=folder", f"data.root={image_folder}", *BACKBONE, *tiny_run)
    assert result.code == 0, result.err
    assert "Bounded: training stops after 2 steps (1.0 epochs). Lift the bound with trainer=default." in result.out
    assert "Note: large_similar is meant for more than 100,000 training images, here are 16." in result.out
    result = run_cli("data=folder", f"data.root={image_folder}", *BACKBONE, *tiny_run)
    assert "Lift the bound with trainer.max_steps=-1." in result.out

"""strategy=multi_layer_probe from the command line: a run like any other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thawline.freezing.verify import verify
from thawline.models.load_checkpoint import load_checkpoint

Run = Callable[..., Any]
TINY = ("strategy=multi_layer_probe", "model.name=test_resnet", "model.weights=none", "model.image_size=32")
TINY += ("data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu")
STAGES = ("conv1.0", "conv1.3", "conv1.6", "layer1", "layer2", "layer3", "layer4")


def the_run(out: Path) -> tuple[Path, dict[str, Any]]:
    (folder,) = (out / "small_different").iterdir()
    return folder, json.loads((folder / "run.json").read_text())


def test_it_trains_tests_and_is_certified(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "optim.penalties=[1,0.01]")
    assert result.code == 0, result.err
    folder, record = the_run(tmp_path / "out")
    assert record["strategy"]["name"] == "multi_layer_probe"
    assert record["strategy"]["feature_stages"] == list(STAGES)
    assert record["strategy"]["penalty"] in (1.0, 0.01)
    head = load_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]["head.weight"]
    assert record["params"]["trainable"] == head.numel() + 2
    assert record["cache"]["bytes"] == head.shape[1] * 4 * (record["data"]["num_train"] + record["data"]["num_val"])
    assert record["metrics"]["test/accuracy"] == 1.0  # two colours
    assert not [problem for check in verify(folder) for problem in check.problems]
    assert "the head reads 7 of 7 stages, each averaged over 2 x 2 cells" in result.out


def test_adamw_trains_the_same_head_from_images(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    arguments = (*TINY, "optim=adamw", "cache.enabled=false", "trainer.max_epochs=3", "strategy.feature_stages=[2,-1]")
    result = run_cli("data=folder", f"data.root={image_folder}", *arguments)
    assert result.code == 0, result.err
    _, record = the_run(tmp_path / "out")
    assert record["strategy"]["feature_stages"] == ["conv1.6", "layer4"]
    assert not record["cache"]["used"]
    assert record["metrics"]["test/accuracy"] > 0.5


def test_one_store_for_each_stage_serves_another_choice_of_stages(
    run_cli: Run, image_folder: Path, tmp_path: Path
) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", *TINY, "optim.penalties=[1]")
    assert "Cached " in run_cli(*arguments).out
    stores = set((tmp_path / "cache").rglob("*.safetensors"))
    assert stores
    assert "Cached " not in run_cli(*arguments, "strategy.feature_stages=[-1,-2]").out
    assert set((tmp_path / "cache").rglob("*.safetensors")) == stores


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("strategy.unfreeze_depth=2",),
            "strategy.unfreeze_depth=2: beside strategy.feature_stages the backbone stays",
        ),
        (("strategy.feature_stages=[9]",), "strategy.feature_stages=9: test_resnet has no such stage"),
        (("strategy.feature_stages=some",), "strategy.feature_stages=some: test_resnet has no such stage"),
        (("strategy.feature_grid=0",), "strategy.feature_grid=0: allowed are 1 to 64"),
        (("optim=adamw", "regularize=mixup"), "regularize.mixup=0.2: mixes images"),
        (("model/head=mlp",), "optim=lbfgs fits linear classifiers only"),
    ],
)
def test_what_it_cannot_go_with_is_refused(
    run_cli: Run, image_folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *arguments)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert says in line

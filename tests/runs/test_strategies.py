"""Every strategy trains on real files, says its plan, and leaves a certificate that says what it trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.batch_size=8")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=3")
STAGES = ("conv1.0", "conv1.3", "conv1.6", "layer1", "layer2", "layer3", "layer4")
EVERY = {stage: [[0, 2]] for stage in STAGES}


def trained(out: Path) -> dict[str, list[list[int]]]:
    """Stage -> epochs, of the stages that trained in some epoch."""
    (path,) = out.rglob("freeze.json")
    return {s["name"]: s["epochs"] for s in json.loads(path.read_text())["stages"] if s["epochs"]}


def cached_views(out: Path) -> int:
    (path,) = out.rglob("run.json")
    views: int = json.loads(path.read_text())["cache"]["views"]
    return views


@pytest.mark.parametrize(
    ("arguments", "stages", "views"),  # stored of each image, where stages stay frozen; else 0, and random ones
    [
        (("strategy=feature_extraction",), {}, 1),
        (("strategy=partial_fine_tune",), {"layer3": [[0, 2]], "layer4": [[0, 2]]}, 1),
        (("strategy=fine_tune",), EVERY, 0),
        (("strategy=full_fine_tune",), EVERY, 0),
        (("strategy=from_scratch",), EVERY, 0),
        (("strategy=gradual_unfreezing",), {"layer4": [[1, 2]], "layer3": [[2, 2]]}, 1),  # ends before all have thawed
        (("strategy=lp_ft", "strategy.thaw_after=2"), {"layer3": [[2, 2]], "layer4": [[2, 2]]}, 1),
        (("strategy=norm_tuning",), EVERY, 0),
        (("strategy=bias_tuning",), EVERY, 0),
        (("strategy=surgical", "strategy.stages=[0,layer3]"), {"conv1.0": [[0, 2]], "layer3": [[0, 2]]}, 0),
        (
            (
                "strategy.unfreeze_depth=null",
                "strategy.phases=[{from_epoch: 0, stages: [head]}, {from_epoch: 2, stages: [head, -1, -2]}]",
            ),
            {"layer3": [[2, 2]], "layer4": [[2, 2]]},
            1,
        ),
    ],
    ids=lambda value: value[0].partition("=")[2] if isinstance(value, tuple) else "",
)
def test_a_strategy_trains_what_its_plan_says_and_stores_what_stays_frozen(
    run_cli: Run, image_folder: Path, tmp_path: Path, arguments: tuple[str, ...], stages: dict[str, Any], views: int
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *arguments)
    assert result.code == 0, result.err
    assert trained(tmp_path / "out") == stages | {"head": [[0, 2]]}
    assert cached_views(tmp_path / "out") == views


def test_a_plan_is_printed_before_training_and_told_at_every_change(run_cli: Run, image_folder: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "strategy=gradual_unfreezing")
    table, training = result.out.split("Freeze plan")[1].split("epoch 1/3")
    assert [line.split() for line in table.splitlines()[2:5]] == [
        ["1", "head", "194"],
        ["2", "head,", "layer4", "268,034"],
        ["3", "head,", "layer4,", "layer3", "310,466"],
    ]
    assert "Trainable: 194 / 372,882 (0.05%)" in table
    assert "Epoch 2: head, layer4 train. Trainable: 268,034 / 372,882 (71.88%)" in training
    note = "Note: training ends after epoch 3, before 5 of the plan's changes, the last at epoch 8; reach them with"
    assert f"{note} trainer.max_epochs=8." in result.out


@pytest.mark.parametrize("more", [("data.augment.vflip=true",), ("strategy.batchnorm=eval",), ("data.batch_size=16",)])
def test_what_has_no_effect_or_a_bad_one_is_pointed_out(
    run_cli: Run, image_folder: Path, more: tuple[str, ...]
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "trainer.max_epochs=1", *more)
    small, in_vain = (
        "batches of 8 images are small for the BatchNorm statistics",
        "data.augment.vflip=true has no effect",
    )
    assert (small in result.out) == (in_vain in result.out) == ("vflip" in more[0])
    assert (f"{in_vain}: stages stay frozen" in result.out) == ("set data.augment.enabled=true" in result.out)


def test_without_the_guard_there_is_no_certificate(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "strategy.guard=false")
    assert result.code == 0, result.err
    assert "not checked (strategy.guard=false)" in result.out
    assert not list((tmp_path / "out").rglob("freeze.json"))


@pytest.mark.parametrize("regularize", ["l2_sp", "mixup", "ema", "wise_ft"])
def test_every_regulariser_runs_and_leaves_frozen_stages_alone(
    run_cli: Run, image_folder: Path, tmp_path: Path, regularize: str
) -> None:
    pretrained = ("model.name=tf_efficientnet_lite0", "model.weights=embedded", "trainer.max_epochs=1")
    model = pretrained if regularize in ("l2_sp", "wise_ft") else ()
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *model, f"regularize={regularize}")
    assert result.code == 0, result.err
    (path,) = (tmp_path / "out").rglob("run.json")
    record = json.loads(path.read_text())
    assert record["freeze"]["verified"]
    if regularize == "wise_ft":
        assert record["strategy"]["wise_ft"] in (0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("arguments", "views"), [(("cache.views=2",), 2), (("data.augment.enabled=true", "data.augment.rand_ops=2"), 0)]
)
def test_several_views_are_stored_and_random_ones_are_not(
    run_cli: Run, image_folder: Path, tmp_path: Path, arguments: tuple[str, ...], views: int
) -> None:
    head = "strategy=feature_extraction"
    assert run_cli("data=folder", f"data.root={image_folder}", *TINY, head, *arguments).code == 0
    assert cached_views(tmp_path / "out") == views

"""python scripts/advise.py and scenario=auto, on real files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.errors import UserError
from thawline.machine.compute import Compute
from thawline.runs import advice as advice_module

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu",)
ADVISE = "scripts/advise.py"
KEYS = {"cell", "size", "similarity", "distance_by_stage", "probe_by_stage", "recommendation", "predicted"}
KEYS |= {"alternatives", "reasons", "stack"}


def pictures(folder: Path) -> list[str]:
    """Tags of the images in the folder's one event file."""
    assert len(list(folder.glob("events.*"))) == 1
    events = EventAccumulator(str(folder))
    events.Reload()
    tags: list[str] = events.Tags()["images"]
    return tags


def advice_in(out: Path) -> dict[str, Any]:
    (path,) = out.rglob("advice.json")
    body: dict[str, Any] = json.loads(path.read_text())
    return body


def test_advice_is_printed_and_written(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, script=ADVISE)
    assert result.code == 0, result.err
    assert "Depth profile" in result.out
    assert "cell of the matrix: small_different" in result.out
    body = advice_in(tmp_path / "out" / "advice")
    assert body.keys() >= KEYS
    assert body["recommendation"].keys() >= {"strategy", "unfreeze_depth", "lr", "epochs"}
    assert body["predicted"].keys() >= {"accuracy", "seconds", "memory_bytes"}
    assert body["size"] == "small"
    assert body["num_train"] == 16
    assert len(body["probe_by_stage"]) == 7
    (figure,) = (tmp_path / "out").rglob("depth_profile.png")
    assert Image.open(figure).size[0] > 500
    assert pictures(figure.parent) == ["depth_profile"]
    events = EventAccumulator(str(figure.parent))
    events.Reload()
    probes = [body["probe_by_stage"][stage]["grid_2"]["accuracy"] for stage in body["probe_by_stage"]]
    curve = [(point.step, point.value) for point in events.Scalars("profile/probe_grid_2")]
    assert curve == [(number, pytest.approx(value, abs=1e-4)) for number, value in enumerate(probes, start=1)]
    assert "advice/text_summary" in events.Tags()["tensors"]
    command = next(line for line in result.out.splitlines() if line.startswith("run "))
    assert f"python train.py scenario=small_different data=folder data.root={image_folder}" in command
    assert command == f"run     {body['commands'][0]}"
    assert f"strategy={body['recommendation']['strategy']}" in command
    assert f"or      {body['commands'][1]}   # the best within budget.minutes" in result.out
    assert body["commands"][1].startswith(f"python train.py scenario=auto data=folder data.root={image_folder}")


def test_pretrained_weights_have_a_similarity(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", "model.image_size=64", "trainer.accelerator=cpu")
    assert run_cli(*arguments, script=ADVISE).code == 0
    body = advice_in(tmp_path / "out")
    assert 0.0 <= body["similarity"] <= 1.0
    assert len(body["distance_by_stage"]) == 9
    assert [choice["strategy"] for choice in body["alternatives"]] == ["stacked_probe"]


def test_of_many_images_a_sample_is_looked_at_and_told(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "advise.max_images=10", script=ADVISE)
    assert "16 training images, 2 classes, a sample of 10 of them is looked at" in result.out
    body = advice_in(tmp_path / "out")
    assert (body["num_probed"], body["num_train"]) == (12, 16)  # ten to train, two to validate


def test_classes_named_by_numbers_and_thumbnails_are_no_obstacle(run_cli: Run, tmp_path: Path) -> None:
    for label in range(2):
        (tmp_path / "digits" / str(label)).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (8, 8), (20 * i, 200 * label, 0)).save(tmp_path / "digits" / str(label) / f"{i}.png")
    result = run_cli("data=folder", f"data.root={tmp_path / 'digits'}", *TINY, script=ADVISE)
    assert result.code == 0, result.err
    reasons = " ".join(advice_in(tmp_path / "out")["reasons"])
    assert "half of them have a side of 8 pixels or less, and are enlarged to 32" in reasons
    assert "the distance is not to be trusted" in reasons
    assert "Class '0' has" in reasons


def write_splits(folder: Path, *, num_train: int, same: bool = False) -> None:
    """`num_train` images of each of two classes to train on, one to validate, one to test."""
    for label in range(2):
        for split, number in (("train", num_train), ("val", 1), ("test", 1)):
            (folder / split / f"class_{label}").mkdir(parents=True)
            for i in range(number):
                colour = (0 if same else 60 * i, 200 * label, len(split))
                Image.new("RGB", (32, 32), colour).save(folder / split / f"class_{label}" / f"{i}.png")


def test_two_images_per_class_get_advice_with_its_caveat(run_cli: Run, tmp_path: Path) -> None:
    write_splits(tmp_path / "few", num_train=2)
    result = run_cli("data=folder", f"data.root={tmp_path / 'few'}", *TINY, script=ADVISE)
    assert result.code == 0, result.err
    body = advice_in(tmp_path / "out")
    assert "Class 'class_0' has 2 of the images looked at: the accuracies here are rough." in body["reasons"]


@pytest.mark.parametrize(("num_train", "same"), [(1, False), (5, True)])
def test_one_image_per_class_or_copies_of_one_are_told(
    run_cli: Run, tmp_path: Path, num_train: int, same: bool
) -> None:
    write_splits(tmp_path / "few", num_train=num_train, same=same)
    result = run_cli("data=folder", f"data.root={tmp_path / 'few'}", *TINY, script=ADVISE)
    assert result.code == 2
    assert "distinct training images, never two of one class; advice needs at least two" in result.err.splitlines()[-1]


def test_one_class_is_told(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "one" / "cats").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "one" / "cats" / "1.png")
    result = run_cli("data=folder", f"data.root={tmp_path / 'one'}", *TINY, script=ADVISE)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert "holds one class ('cats'); at least two class folders are needed" in line


@pytest.mark.parametrize("override", ["strategy=fine_tune", "optim.lr=0.1", "strategy.unfreeze_depth=2", "optim=sgd"])
def test_auto_lets_nobody_else_choose(run_cli: Run, image_folder: Path, override: str) -> None:
    result = run_cli("scenario=auto", "data=folder", f"data.root={image_folder}", *TINY, override)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert f"{override}: scenario=auto chooses it; leave it out" in line


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("budget.minutes=0", "budget.minutes=0.0: a number above 0, or null for no bound"),
        ("budget.memory_gb=little", "budget.memory_gb=little: give a number"),
        ("advise.max_images=5", "advise.max_images=5: allowed are 10 to 100000"),
        ("budget.min_gain=-1", "budget.min_gain=-1.0: allowed are 0 to 100, in points of accuracy"),
        ("model.name=hrnet_w18_small", "the backbone HighResolutionNet cannot be cut into stages"),
        ("model.name=resnet17", "model.name=resnet17: timm has no such model"),
        ("data.root=nowhere", "data.root=nowhere: no such folder"),
    ],
)
def test_bad_input_is_told_in_one_line(
    run_cli: Run, image_folder: Path, tmp_path: Path, override: str, says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, override, script=ADVISE)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert says in line
    assert not list((tmp_path / "out").rglob("advice.json"))


def test_a_model_that_the_device_has_no_memory_for_is_one_line(
    run_cli: Run, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(advice_module, "look", full)
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, script=ADVISE)
    assert result.code == 2
    assert "test_resnet at 32 pixels does not fit in this machine's memory; choose a smaller model.name" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_advice_computes_in_the_precision_of_the_run(
    run_cli: Run, image_folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    computes: list[str] = []

    def noted(sample: object, backbone: object, compute: Compute, **kwargs: object) -> None:
        computes.append(compute.precision.trainer)
        raise UserError("that was all")

    monkeypatch.setattr(advice_module, "look", noted)
    run_cli("data=folder", f"data.root={image_folder}", *TINY, f"trainer.precision={precision}", script=ADVISE)
    assert computes == [precision]

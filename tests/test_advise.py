"""python scripts/advise.py and scenario=auto, on real files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu",)
ADVISE = "scripts/advise.py"
KEYS = {"cell", "size", "similarity", "distance_by_stage", "probe_by_stage", "recommendation", "predicted"}
KEYS |= {"alternatives", "reasons"}


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
    assert "Advice: small_different" in result.out
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
    command = next(line for line in result.out.splitlines() if line.startswith("run "))
    assert f"python train.py data=folder data.root={image_folder}" in command
    assert f"strategy={body['recommendation']['strategy']}" in command


def test_pretrained_weights_have_a_similarity(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", "model.image_size=64", "trainer.accelerator=cpu")
    assert run_cli(*arguments, script=ADVISE).code == 0
    body = advice_in(tmp_path / "out")
    assert 0.0 <= body["similarity"] <= 1.0
    assert len(body["distance_by_stage"]) == 9
    assert len(body["alternatives"]) == 6


def test_of_many_images_a_sample_is_looked_at_and_told(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "advise.max_images=10", script=ADVISE)
    assert "16 training images, 2 classes, a sample of 10 of them is looked at" in result.out
    body = advice_in(tmp_path / "out")
    assert (body["num_probed"], body["num_train"]) == (10, 16)


def test_auto_runs_what_is_recommended(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    arguments = ("scenario=auto", "data=folder", f"data.root={image_folder}", *TINY, "trainer.max_epochs=2")
    result = run_cli(*arguments)
    assert result.code == 0, result.err
    (folder,) = (tmp_path / "out" / "auto").iterdir()
    record = json.loads((folder / "run.json").read_text())
    advice = advice_in(folder)
    assert record["status"] == "completed"
    assert record["scenario"] == "auto"
    assert record["strategy"]["name"] == advice["recommendation"]["strategy"]
    assert (folder / "depth_profile.png").is_file()
    assert pictures(folder) == ["depth_profile"]


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
        ("budget.minutes=0.0001", "nothing fits; the cheapest, "),
        ("budget.memory_gb=little", "budget.memory_gb: Value 'little'"),
        ("advise.max_images=5", "advise.max_images=5: allowed are 10 to 100000"),
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

"""strategy=stacked_probe from the command line: a run like any other, which foretells its accuracy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thawline.freezing.verify import verify
from thawline.models.load_checkpoint import load_checkpoint

Run = Callable[..., Any]
TINY = ("strategy=stacked_probe", "model.name=test_resnet", "model.weights=none", "model.image_size=32")
TINY += ("data.batch_size=4", "data.num_workers=0", "trainer.accelerator=cpu")


def the_run(out: Path) -> tuple[Path, dict[str, Any]]:
    (folder,) = (out / "small_different").iterdir()
    return folder, json.loads((folder / "run.json").read_text())


@pytest.fixture
def completed(run_cli: Run, image_folder: Path, tmp_path: Path) -> tuple[Any, Path, dict[str, Any]]:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY)
    assert result.code == 0, result.err
    return result, *the_run(tmp_path / "out")


def test_it_solves_tests_and_is_certified(completed: tuple[Any, Path, dict[str, Any]]) -> None:
    result, folder, record = completed
    assert record["strategy"]["name"] == "stacked_probe"
    assert record["strategy"]["feature_grid"] == [1, 2]
    assert record["model"]["head"] == "stacked"
    assert record["cost"]["train_flops"] == 0  # counting every operation would take longer than solving
    assert record["metrics"]["test/accuracy"] == 1.0  # two colours
    assert not [problem for check in verify(folder) for problem in check.problems]
    assert "Head: 15 ridge probes, averaged, solved for in one step" in result.out  # 7 stages, 6 of them twice, 2 sums
    assert "solved on training images; tested as solved once more on training and validation images" in " ".join(
        result.out.replace("│", " ").split()
    )
    state = load_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
    assert record["params"]["trainable"] == sum(t.numel() for name, t in state.items() if name.startswith("head."))
    assert abs(float(state["head.log_shares"].exp().sum()) - 1) < 1e-5


def test_the_tested_weights_know_the_validation_images_and_the_last_ones_do_not(
    completed: tuple[Any, Path, dict[str, Any]],
) -> None:
    _, folder, record = completed
    best, last = (load_checkpoint(folder / "checkpoints" / f"{n}.ckpt")["state_dict"] for n in ("best", "last"))
    assert any(not torch.equal(best[name], last[name]) for name in best if name.startswith("head."))
    assert all(torch.equal(best[name], last[name]) for name in best if not name.startswith("head."))
    expected, data = record["expected"], record["data"]
    assert expected["by"] == "leave-one-out"
    assert expected["images"] == data["num_train"] + data["num_val"]
    assert expected["new_images"] == data["num_test"]
    assert expected["low"] <= expected["accuracy"] <= expected["high"] <= 1.0


def test_curves_hold_the_accuracy_on_images_that_were_not_fitted_on(
    completed: tuple[Any, Path, dict[str, Any]],
) -> None:
    _, folder, record = completed
    events = EventAccumulator(str(folder))
    events.Reload()
    logged = [event.value for event in events.Scalars("val/accuracy")]
    assert logged[0] == pytest.approx(record["metrics"]["val/accuracy"])
    assert record["curves"]["val/accuracy"] == [[1, pytest.approx(logged[0])]]


def test_tested_weights_last_leaves_the_validation_images_out(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "tested_weights=last")
    assert result.code == 0, result.err
    folder, record = the_run(tmp_path / "out")
    best, last = (load_checkpoint(folder / "checkpoints" / f"{n}.ckpt")["state_dict"] for n in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)
    assert "expected" not in record or record["expected"] == {}


def test_a_run_that_was_cut_off_goes_on_to_the_same_end(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("data=folder", f"data.root={image_folder}", *TINY)
    assert run_cli(*arguments).code == 0
    whole, record = the_run(tmp_path / "out")
    whole = whole.rename(tmp_path / "whole")

    def cut_off(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("thawline.runs.tested_weights.refit", cut_off)
        run_cli(*arguments)
    folder, before = the_run(tmp_path / "out")
    assert before["status"] == "interrupted"
    assert run_cli(f"resume={folder}").code == 0
    _, resumed = the_run(tmp_path / "out")
    assert resumed["metrics"] == record["metrics"]
    ends = [load_checkpoint(path / "checkpoints" / "best.ckpt")["state_dict"] for path in (whole, folder)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_validation_images_of_another_kind_judge_alone(run_cli: Run, tmp_path: Path) -> None:
    """Colours say the class in the training images, and the opposite in the others."""
    root = tmp_path / "shifted"
    for shade, (split, flip) in enumerate((("train", False), ("val", True), ("test", True))):
        for label, name in enumerate(("cats", "dogs")):
            (root / split / name).mkdir(parents=True)
            for i in range(16):
                red = (label == 0) != flip
                colour = (200 - 5 * i, 60, 60 + shade) if red else (60 + shade, 60, 200 - 5 * i)
                Image.new("RGB", (32, 32), colour).save(root / split / name / f"{i:02}.png")
    result = run_cli("data=folder", f"data.root={root}", *TINY)
    assert result.code == 0, result.err
    _, record = the_run(tmp_path / "out")
    assert record["expected"]["by"] == "validation"
    assert record["expected"]["accuracy"] == record["metrics"]["val/accuracy"] < 0.5
    assert record["expected"]["images"] == 32
    assert record["strategy"]["tested_why"].endswith("; the latter alone judged")
    assert "Note: 1.000 of the training images are classified right when they are left out, and 0." in result.out
    assert "(data.group_by keeps them together)" in result.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("model/head=mlp",), "optim=ridge fits linear classifiers only"),
        (("strategy.feature_stages=null",), "optim=ridge: solves for probes of several stages"),
        (("strategy.feature_grid=[]",), "strategy.feature_grid=[]: a number from 1 to 64, or a list"),
        (("strategy.feature_grid=[2,x]",), "strategy.feature_grid=[2, 'x']: a number from 1 to 64, or a list"),
        (("imbalance=focal",), "imbalance=focal: changes the steps of a training, and optim=ridge solves"),
        (("regularize=mixup",), "regularize.mixup=0.2"),
        (("cache.enabled=false",), "optim=ridge: fits the head on stored features, and cache.enabled=false"),
    ],
)
def test_what_it_cannot_go_with_is_refused(
    run_cli: Run, image_folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *arguments)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert says in line

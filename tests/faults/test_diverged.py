"""A training that goes wrong ends at the step that shows it; one that learned nothing is told at the end."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from thawline.callbacks.best_and_last import BestCheckpoint, Scores
from thawline.callbacks.stop_diverged import loss_problem
from thawline.errors import UserError
from thawline.freezing.verify import verify
from thawline.report.run_record import load_record
from thawline.runs.divergence import best_is_tested
from thawline.runs.learned_nothing import doubts
from thawline.settings.trainer_settings import TrainerSettings
from thawline.training.metrics import ClassCounts

Run = Callable[..., Any]
TINY = ("model.name=test_resnet", "model.weights=none", "model.image_size=32", "data.num_workers=0")
TINY += ("data.batch_size=8", "trainer.accelerator=cpu", "data=folder")  # 2 steps an epoch
POISON = "+callbacks.poison._target_=faulty_parts.Poison"


def refused(result: Any) -> str:
    lines = result.err.strip().splitlines()
    assert (result.code, len(lines)) == (2, 1), result.err
    return str(lines[0])


def the_run(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "out" / "small_different").iterdir()
    return folder


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    body = torch.load(folder / "checkpoints" / name, weights_only=True)
    return dict(body["state_dict"])


def test_what_is_wrong_with_a_loss() -> None:
    assert loss_problem(693.0, num_classes=2) is None  # a thousand times log 2 is 693.1
    assert loss_problem(694.0, num_classes=2) == "is 694, and guessing gives 0.69"
    assert loss_problem(math.inf, num_classes=10) == "is inf"
    assert loss_problem(math.nan, num_classes=10) == "is nan"


def test_an_exploding_loss_ends_the_run_at_its_step(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    rates = ("optim=sgd", "optim.lr=10", "optim.backbone_lr=10", "optim.warmup_fraction=0")
    line = refused(run_cli(*TINY, f"data.root={image_folder}", "strategy=full_fine_tune", *rates))
    assert re.match(r"error: training went wrong at step \d+, in epoch \d+: train/loss is [\d.]+e", line)
    assert re.search(r"guessing gives 0.69, at a learning rate of [\d.]+ \([\w.]+\)\. Try a tenth of", line)
    assert "or trainer.gradient_clip_val=1" in line
    record = json.loads((the_run(tmp_path) / "run.json").read_text())
    assert record["status"] == "failed"
    assert "training went wrong at step" in record["error"]


def test_the_best_weights_so_far_stay(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    wrong = (POISON, "+callbacks.poison.step=4", "+callbacks.poison.value=nan")
    line = refused(run_cli(*TINY, f"data.root={image_folder}", "trainer.max_epochs=3", *wrong))
    folder = the_run(tmp_path)
    assert "went wrong at step 4, in epoch 2: train/loss is nan" in line
    assert line.endswith(f"the best weights so far stay in {folder / 'checkpoints' / 'best.ckpt'}")
    curves = json.loads((folder / "run.json").read_text())["curves"]
    assert [len(curves[tag]) for tag in ("val/loss", "val/accuracy")] == [1, 1]  # those of the epoch that was whole
    for name in ("best.ckpt", "last.ckpt"):
        assert all(torch.isfinite(tensor).all() for tensor in weights(folder, name).values())


def test_the_best_weights_so_far_are_tested_where_that_is_wanted(
    run_cli: Run, tmp_path: Path, image_folder: Path
) -> None:
    wrong = (POISON, "+callbacks.poison.step=6", "+callbacks.poison.value=nan", "trainer.on_divergence=test_best")
    rates = ("optim.lr=0.01", "strategy=feature_extraction")
    line = refused(run_cli(*TINY, *rates, f"data.root={image_folder}", "trainer.max_epochs=4", *wrong))
    folder = the_run(tmp_path)
    record = load_record(folder / "run.json")
    epoch, accuracy = record.best_epoch, record.metrics["test/accuracy"]
    assert "went wrong at step 6, in epoch 3: train/loss is nan" in line
    told = f", of epoch {epoch}, test/accuracy {accuracy:.3f}, as a model in {folder / 'model'}"
    assert line.endswith(f"stay in {folder / 'checkpoints' / 'best.ckpt'}{told}")
    assert (record.status, record.progress.doing, record.progress.step) == ("failed", "training", 5)
    assert record.strategy.tested_why == "the best before the training diverged"
    assert record.cost.fit_s > 0
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert epoch == best["epoch"] + 1 <= 2
    model = load_file(folder / "model" / "model.safetensors")
    assert all(torch.equal(model[name], tensor) for name, tensor in best["state_dict"].items())
    assert not any(check.problems for check in verify(folder))


@pytest.mark.slow
def test_best_weights_of_the_middle_of_an_epoch_are_certified(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    """They come from an epoch that last.ckpt, of its start, knows nothing of. Every batch is validated."""
    wrong = (POISON, "+callbacks.poison.step=2", "+callbacks.poison.value=nan", "trainer.on_divergence=test_best")
    often = ("trainer.max_epochs=1", "trainer.val_check_interval=0.5", "strategy=partial_fine_tune")
    line = refused(run_cli(*TINY, f"data.root={image_folder}", *often, *wrong))
    assert "went wrong at step 2, in epoch 1" in line
    assert ", of epoch 1, test/accuracy" in line
    checks = {check.name: check for check in verify(the_run(tmp_path))}
    assert checks["head"].epochs == [[0, 0]]
    assert not any(check.problems for check in checks.values())


@pytest.mark.slow
def test_a_test_that_fails_does_not_hide_the_divergence(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    wrong = (POISON, "+callbacks.poison.step=4", "+callbacks.poison.value=nan", "trainer.on_divergence=test_best")
    fails = ("+callbacks.bad._target_=faulty_parts.RaisingCallback", "+callbacks.bad.hook=on_test_start")
    line = refused(run_cli(*TINY, f"data.root={image_folder}", "trainer.max_epochs=3", *wrong, *fails))
    assert "went wrong at step 4, in epoch 2: train/loss is nan" in line
    assert line.endswith("best.ckpt, and could not be tested: 'a defect of the callback'")


def test_without_best_weights_there_is_nothing_to_test(tmp_path: Path) -> None:
    best = BestCheckpoint(tmp_path)
    assert not best_is_tested(TrainerSettings(on_divergence="test_best"), best)
    best.best.touch()  # of a run before in this folder
    assert not best_is_tested(TrainerSettings(on_divergence="test_best"), best)
    best.best_scores = Scores(accuracy=1.0, loss=0.0)
    assert best_is_tested(TrainerSettings(on_divergence="test_best"), best)
    assert not best_is_tested(TrainerSettings(), best)


def test_what_a_divergence_may_lead_to_is_checked() -> None:
    with pytest.raises(UserError, match=r"trainer.on_divergence=go_on: allowed are stop, test_best"):
        TrainerSettings(on_divergence="go_on")


def test_at_the_first_step_it_is_not_the_learning_rate(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    wrong = (POISON, "+callbacks.poison.step=1", "+callbacks.poison.value=inf")
    line = refused(run_cli(*TINY, f"data.root={image_folder}", *wrong))
    assert "at step 1, in epoch 1: train/loss is nan. Nothing was learned before that step, so it is not the" in line


def test_a_gradient_is_clipped(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    """The head starts at zero, so after one step of SGD at a rate of 1 its norm is that of the gradient."""
    one_step = ("trainer.max_epochs=1", "data.batch_size=16", "optim=sgd", "optim.lr=1", "optim.weight_decay=0")
    clipped = ("optim.warmup_fraction=0", "optim.schedule=constant", "trainer.gradient_clip_val=0.001")
    result = run_cli(*TINY, *one_step, *clipped, f"data.root={image_folder}", "strategy=feature_extraction")
    assert result.code == 0, result.err
    head = [tensor for name, tensor in weights(the_run(tmp_path), "last.ckpt").items() if name.startswith("head.")]
    assert torch.stack([tensor.norm() for tensor in head]).norm().item() == pytest.approx(0.001, rel=1e-3)


def said(confusion: torch.Tensor, names: list[str]) -> str | None:
    return doubts(ClassCounts.of(confusion), names)


def test_a_constant_answer_and_one_at_chance_are_told() -> None:
    names = ["a", "b", "c"]
    constant = torch.tensor([[5, 0, 0], [90, 0, 0], [5, 0, 0]])  # 5 % right; b alone would be 90 %
    assert said(constant, names) == "all 100 test images were taken for a: the model tells nothing apart"
    guessed = torch.tensor([[4, 3, 3], [3, 4, 3], [3, 3, 4]])  # recall 0.4 each; the error of guessing is 0.086
    assert str(said(guessed, names)).startswith("a balanced accuracy of 0.40 on 30 test images cannot be told from")
    assert said(torch.tensor([[6, 2, 2], [2, 6, 2], [2, 2, 6]]), names) is None
    assert said(torch.tensor([[95, 0], [5, 0]]), ["a", "b"]) is not None  # 95 % right, and nothing learned
    assert said(torch.tensor([[2, 0], [0, 2]]), ["a", "b"]) is None  # all right
    assert said(torch.tensor([[3, 0], [0, 0]]), ["a", "b"]) is None  # one class in the test: nothing to tell apart


def test_a_run_says_that_it_learned_nothing(run_cli: Run, image_folder: Path) -> None:
    idle = ("trainer.max_epochs=1", "optim=sgd", "optim.lr=0", "strategy=feature_extraction")
    result = run_cli(*TINY, f"data.root={image_folder}", *idle)
    assert result.code == 0, result.err
    assert "Note: all 4 test images were taken for cats: the model tells nothing apart." in result.out


def test_a_class_without_a_validation_image_is_told(run_cli: Run, tmp_path: Path, image_folder: Path) -> None:
    for name in ("cats", "dogs"):
        for split, first in (("train", 0), ("val", 8), ("test", 10)):
            if (split, name) == ("val", "dogs"):
                continue
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(first, 8 if split == "train" else first + 2):
                (image_folder / name / f"{i:02}.png").rename(tmp_path / "set" / split / name / f"{i:02}.png")
    result = run_cli(*TINY, f"data.root={tmp_path / 'set'}", "trainer.max_epochs=1")
    assert "Note: no validation image of dogs, so nothing that is chosen on validation sees them." in result.out

"""optim=lbfgs from the command line: a path of penalties, the chosen one recorded, everything else refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., Any]
PENALTIES = [1.0, 0.1, 0.01]
TINY = ("optim=lbfgs", "optim.penalties=[1,0.1,0.01]", "strategy=feature_extraction", "model.name=test_resnet")
TINY += ("model.weights=none", "model.image_size=32", "data.batch_size=4", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu",)
STORED = (*TINY, "data.augment=none")


def the_run(out: Path) -> Path:
    (folder,) = (out / "small_different").iterdir()
    return folder


def scalars(folder: Path) -> dict[str, list[float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def record_of(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return body


def test_a_run_goes_through_the_penalties_and_tests_the_one_chosen(
    run_cli: Run, image_folder: Path, tmp_path: Path
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *STORED)
    assert result.code == 0, result.err
    assert "an epoch for each of 3 penalties, 1 to 0.01; trainer.max_epochs does not apply." in result.out
    assert "Cache: all stages are computed once" in result.out
    folder = the_run(tmp_path / "out")
    record = record_of(folder)
    penalty = PENALTIES[record["best_epoch"] - 1]
    assert record["strategy"]["penalty"] == penalty
    assert f"logistic regression, penalty {penalty:g} chosen on validation" in result.out
    assert record["freeze"]["verified"]
    assert record["cost"]["optimizer_state_bytes"] == 0
    logged = scalars(folder)
    assert logged["optim/penalty"] == pytest.approx(PENALTIES)
    losses = logged["train/loss"]
    assert len(losses) == 3  # one step an epoch, at the solution
    assert losses == sorted(losses, reverse=True)
    scores = [(accuracy, -loss) for accuracy, loss in zip(logged["val/accuracy"][:3], logged["val/loss"], strict=False)]
    assert record["best_epoch"] == scores.index(max(scores)) + 1  # of equally accurate ones, the lower loss
    assert record["strategy"]["tested_weights"] == "val_accuracy"
    assert not [tag for tag in logged if tag.startswith("lr/")]


def test_the_head_is_fitted_on_all_stored_views(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, "cache.views=4")
    assert result.code == 0, result.err  # as many views as epochs, and one more: each is stored all the same
    assert record_of(the_run(tmp_path / "out"))["cache"]["views"] == 4


def test_a_bound_on_the_steps_ends_the_path_early(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *STORED, "trainer.max_steps=2")
    assert result.code == 0, result.err
    assert "Bounded: training stops after 2 steps (2.0 epochs)." in result.out
    assert len(scalars(the_run(tmp_path / "out"))["train/loss"]) == 2


@pytest.mark.parametrize("max_epochs", ["1", "30"])
def test_max_epochs_does_not_apply(run_cli: Run, image_folder: Path, tmp_path: Path, max_epochs: str) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *STORED, f"trainer.max_epochs={max_epochs}")
    assert result.code == 0, result.err
    assert "Bounded" not in result.out
    assert len(scalars(the_run(tmp_path / "out"))["train/loss"]) == 3


def test_the_hyperparameters_say_that_there_is_no_rate(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    assert run_cli("data=folder", f"data.root={image_folder}", *STORED).code == 0
    events = EventAccumulator(str(the_run(tmp_path / "out")))
    events.Reload()
    content = str(events.summary_metadata["_hparams_/session_start_info"].plugin_data.content)
    assert "lbfgs" in content
    assert "none" in content


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("model/head=mlp",),
            "model.head._target_=thawline.models.heads.MLPHead: optim=lbfgs fits linear classifiers only",
        ),
        (("strategy.unfreeze_depth=2",), "strategy.unfreeze_depth=2: optim=lbfgs fits the head alone"),
        (("strategy.unfreeze_depth=all",), "strategy.unfreeze_depth=all: optim=lbfgs fits the head alone"),
        (("strategy=surgical", "strategy.stages=[1]"), "strategy.stages=[1]: optim=lbfgs fits the head alone"),
        (("strategy.phases=[{from_epoch: 0, stages: [head]}]",), "use strategy=feature_extraction, or optim=adamw"),
        (("cache.enabled=false",), "stored features, and cache.enabled=false; use cache.enabled=auto"),
        (("data.augment.enabled=true",), "with cache.views=N, or data.augment.enabled=false"),
        (("cache.max_gb=0", "data.augment=none"), "cache.max_gb is 0; raise cache.max_gb, or use optim=adamw"),
        (("cache.max_gb=0", "cache.enabled=true", "data.augment=none"), "raise cache.max_gb, or use optim=adamw"),
        (("regularize.ema_decay=0.9",), "regularize.ema_decay=0.9: has no effect beside optim=lbfgs"),
        (("regularize.mixup=0.2",), "regularize.mixup=0.2: has no effect beside optim=lbfgs"),
        (("regularize.cutmix=1",), "regularize.cutmix=1.0: has no effect beside optim=lbfgs"),
        (("regularize.label_smoothing=0.1",), "all training images at once; leave it at 0"),
        (("regularize.l2_sp=0.1", "model.weights=embedded"), "regularize.l2_sp=0.1: has no effect beside optim=lbfgs"),
        (("regularize.wise_ft=0.5", "model.weights=embedded"), "at once; leave it at 1"),
        (("+trainer.accumulate_grad_batches=2",), "trainer.accumulate_grad_batches=2: has no effect beside"),
        (("+trainer.limit_train_batches=0.5",), "trainer.limit_train_batches=0.5: has no effect beside"),
        (("optim.lr=0.1",), "optim.lr=0.1: has no effect beside optim=lbfgs"),
        (("optim.penalties=[]",), "optim.penalties=[]: a falling list of finite numbers above 0"),
        (("optim.penalties=[1,0]",), "optim.penalties=[1.0, 0.0]: a falling list"),
        (("optim.penalties=[0.1,1]",), "optim.penalties=[0.1, 1.0]: a falling list"),
        (("optim.penalties=[inf,1]",), "a falling list of finite numbers above 0"),
        (("optim.penalties=[strong]",), "optim.penalties[0]=strong: give a number"),
        (("optim.penalties=null",), "optim.name=lbfgs: needs optim.penalties; use optim=lbfgs"),
        (("optim.name=adamw",), "optim.penalties=[1.0, 0.1, 0.01]: has no effect beside adamw; use optim=lbfgs"),
    ],
)
def test_what_it_cannot_go_with_is_refused(
    run_cli: Run, image_folder: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *arguments)
    assert result.code == 2, result.err
    (line,) = result.err.strip().splitlines()
    assert says in line
    assert not list((tmp_path / "cache").rglob("*.safetensors"))  # of features; what reading showed may be kept


def test_a_full_disk_ends_the_run_in_one_line(
    run_cli: Run, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, rows: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("thawline.features.feature_store.StoreWriter.append", full)
    result = run_cli("data=folder", f"data.root={image_folder}", *STORED)
    assert result.code == 2
    (line,) = result.err.strip().splitlines()
    assert "they cannot be written ([Errno 28] No space left on device); choose another cache.dir" in line
    assert record_of(the_run(tmp_path / "out"))["status"] == "failed"

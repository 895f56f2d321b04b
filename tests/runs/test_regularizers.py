"""EMA and WiSE-FT in a run from the command line: which weights are kept and tested, tensor by tensor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thawline.models.backbone import Backbone
from thawline.training.classifier import TransferClassifier

Run = Callable[..., Any]
Weights = dict[str, Tensor]
TINY = ("model.name=test_resnet", "model.image_size=32", "data.batch_size=4", "data.num_workers=0")
TINY += ("trainer.accelerator=cpu", "trainer.max_epochs=1", "cache.enabled=false", "optim.weight_decay=0")


class Seen:
    """The model's weights at the hooks of every run while `watch` is in place.

    Attributes:
        trained: After every optimizer step, as the optimizer left them.
        validated: At the end of every validation: weights, accuracy.
        tested: At the end of the test.
    """

    def __init__(self) -> None:
        self.trained: list[Weights] = []
        self.validated: list[tuple[Weights, float]] = []
        self.tested: list[Weights] = []


def weights_of(model: TransferClassifier) -> Weights:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()

    def after_step(model: TransferClassifier, *_: Any) -> None:
        seen.trained.append(weights_of(model))

    def after_validation(model: TransferClassifier) -> None:
        seen.validated.append((weights_of(model), float(model.trainer.callback_metrics["val/accuracy"])))

    def after_test(model: TransferClassifier) -> None:
        seen.tested.append(weights_of(model))

    monkeypatch.setattr(TransferClassifier, "on_train_batch_end", after_step)
    monkeypatch.setattr(TransferClassifier, "on_validation_epoch_end", after_validation)
    monkeypatch.setattr(TransferClassifier, "on_test_end", after_test)
    return seen


@pytest.fixture
def pretrained(tiny_backbone: Backbone, tmp_path: Path) -> tuple[str, Weights]:
    """(`model.weights=FILE`, what that file holds under the names that a checkpoint uses)."""
    weights = tiny_backbone.model.state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    named = {f"backbone.model.{name}": tensor.clone() for name, tensor in weights.items()}
    return f"model.weights={tmp_path / 'weights.pth'}", named


def the_run(out: Path) -> Path:
    (record,) = out.rglob("run.json")
    return record.parent


def test_ema_keeps_and_tests_the_average_of_the_weights_after_every_step(
    run_cli: Run, image_folder: Path, tmp_path: Path, pretrained: tuple[str, Weights], seen: Seen
) -> None:
    weights, start = pretrained
    rates = ("optim.lr=0.1", "optim.backbone_lr=0.1", "optim.warmup_fraction=0")  # so high that no step looks like none
    more = ("strategy.unfreeze_depth=1", "regularize.ema_decay=0.2", *rates)
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, weights, *more)
    assert result.code == 0, result.err
    assert len(seen.trained) == 4
    folder = the_run(tmp_path / "out") / "checkpoints"
    kept = [torch.load(folder / file, weights_only=True)["state_dict"] for file in ("last.ckpt", "best.ckpt")]
    for name in ("head.weight", "backbone.model.layer4.0.conv2.weight"):
        average = start.get(name, torch.zeros(()))  # the head starts at 0
        # (1 + n) / (10 + n) at the first steps: 1/10, 2/11, 3/12, 4/13; the last two are above 0.2, which then counts.
        for decay, step in zip((1 / 10, 2 / 11, 0.2, 0.2), seen.trained, strict=True):
            average = decay * average + (1 - decay) * step[name]
        for state in (*kept, seen.validated[0][0], *seen.tested):
            torch.testing.assert_close(state[name], average, rtol=0.0, atol=1e-6, msg=name)


# Two steps at this rate bring the tuned backbone so far off that a quarter of the way validates better.
TOO_FAR = ("optim.lr=0.1", "optim.backbone_lr=0.3", "optim.warmup_fraction=0", "trainer.max_steps=2")


@pytest.mark.parametrize(
    ("training", "shares", "best"),
    [(TOO_FAR, [0.5, 0.25, 1.0], 0.25), ((*TOO_FAR, "optim.backbone_lr=0"), [0.25, 0.5], 0.5)],
    ids=["the_best", "of_equals_the_nearest_to_the_tuned_weights"],
)
def test_wise_ft_tests_the_mixture_that_validates_best(
    run_cli: Run,
    image_folder: Path,
    tmp_path: Path,
    pretrained: tuple[str, Weights],
    seen: Seen,
    training: tuple[str, ...],
    shares: list[float],
    best: float,
) -> None:
    weights, start = pretrained
    given = f"regularize.wise_ft={shares}".replace(" ", "")
    more = (weights, "strategy.unfreeze_depth=2", "data.val_fraction=0.4", given, *training)
    result = run_cli("data=folder", f"data.root={image_folder}", *TINY, *more)
    assert result.code == 0, result.err
    record = json.loads((the_run(tmp_path / "out") / "run.json").read_text())
    tuned, mixtures = seen.trained[-1], seen.validated[1:]  # the first validation ended the epoch
    scores = {share: score for share, (_, score) in zip(shares, mixtures, strict=True)}
    assert record["strategy"]["wise_ft"] == best
    assert record["metrics"]["val/accuracy"] == scores[best] == max(scores.values())
    kept = torch.load(the_run(tmp_path / "out") / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    states = [*((share, state) for share, (state, _) in zip(shares, mixtures, strict=True)), (best, kept)]
    for share, state in (*states, (best, seen.tested[0])):
        for name in ("backbone.model.layer4.0.conv2.weight", "backbone.model.layer4.0.bn1.running_mean"):
            expected = (1 - share) * start[name] + share * tuned[name]
            torch.testing.assert_close(state[name], expected, rtol=1e-5, atol=1e-6, msg=f"{share} of {name}")
        assert torch.equal(state["head.weight"], tuned["head.weight"])  # it has no pretrained weights

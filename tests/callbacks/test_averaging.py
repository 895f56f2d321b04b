"""The average of the weights, by hand; frozen stages are no part of it."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch

from thawline.callbacks.averaging import AverageWeights, average_decay, update_average
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings

Fit = Callable[..., Any]


def test_average_by_hand() -> None:
    average = {"w": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)}
    update_average(average, {"w": torch.tensor([3.0, 2.0]), "count": torch.tensor(7)}, decay=0.75)
    assert average["w"].tolist() == [1.5, 2.0]
    assert average["count"] == 7


def test_all_tensors_are_averaged_by_one_call_bit_for_bit_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    now = {f"w{i}": torch.randn(3, i + 1, generator=generator) for i in range(20)} | {"steps": torch.tensor(7)}
    average = {name: torch.zeros_like(tensor) for name, tensor in now.items()}
    expected = {name: t.clone().lerp_(now[name], 0.1) for name, t in average.items() if t.is_floating_point()}
    calls, lerp = list[int](), torch._foreach_lerp_

    def counted(means: list[torch.Tensor], *others: Any) -> Any:
        calls.append(len(means))
        return lerp(means, *others)

    monkeypatch.setattr(torch, "_foreach_lerp_", counted)
    update_average(average, now, decay=0.9)
    assert calls == [20]
    assert all(torch.equal(average[name], mean) for name, mean in expected.items())
    assert average["steps"] == 7
    update_average({"steps": torch.tensor(0)}, now, decay=0.9)  # none to average


def test_decay_rises_to_its_value() -> None:
    assert average_decay(0.99, 0) == pytest.approx(0.1)
    assert average_decay(0.99, 8) == pytest.approx(0.5)
    assert average_decay(0.99, 10_000) == 0.99


class Swaps(L.Callback):
    """Notes the head's weight in training and in validation."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, torch.Tensor]] = []

    def on_validation_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen.append(("val", pl_module.head.weight.detach().clone()))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen.append(("train", pl_module.head.weight.detach().clone()))


def test_validation_sees_the_average_and_training_goes_on_without_it(fit: Fit, tiny_backbone: Backbone) -> None:
    bound = bind(StrategySettings("test", unfreeze_depth=2), tiny_backbone, LinearHead(tiny_backbone.num_features, 4))
    averaging, swaps = AverageWeights(bound, 0.9), Swaps()
    fitted = fit(Rebound(averaging), averaging, swaps, epochs=1)
    weights = {kind: [w for k, w in swaps.seen if k == kind] for kind in ("train", "val")}
    mean = torch.zeros_like(weights["train"][0])  # the head starts at 0
    for n, weight in enumerate(weights["train"]):
        mean = mean.lerp(weight, 1 - average_decay(0.9, n))
    assert torch.equal(weights["val"][0], mean)
    assert torch.equal(fitted.model.head.weight, weights["train"][-1])
    assert not any(name.startswith("backbone.model.layer2") for name in averaging.average)
    assert fitted.guard.verified


def test_what_is_validated_after_the_fit_is_left_as_it_was_loaded(fit: Fit, tiny_backbone: Backbone) -> None:
    head = LinearHead(tiny_backbone.num_features, 4)
    averaging = AverageWeights(bind(StrategySettings("test", unfreeze_depth=2), tiny_backbone, head), 0.9)
    swaps = Swaps()
    fitted = fit(Rebound(averaging), averaging, swaps, epochs=1)
    with torch.no_grad():
        fitted.model.head.weight.fill_(0.25)
    fitted.trainer.validate(fitted.model, datamodule=fitted.data, verbose=False)
    assert bool((swaps.seen[-1][1] == 0.25).all())
    assert bool((fitted.model.head.weight == 0.25).all())


class Rebound(L.Callback):
    """Points the averaging at the plan of the fit."""

    def __init__(self, averaging: AverageWeights) -> None:
        self.averaging = averaging

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.averaging.bound = pl_module.bound

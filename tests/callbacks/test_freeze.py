"""The freeze plan in a real fit: what it freezes stays, what it thaws moves, and unsafe company is refused."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from thawline.callbacks.freeze import FreezeCallback, classifier
from thawline.callbacks.refusals import refuse_unsafe
from thawline.errors import UserError
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training import applied_plan
from thawline.training.applied_plan import wrap_for_gradients
from thawline.training.classifier import TransferClassifier

Fit = Callable[..., Any]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_frozen_stages_are_bitwise_unchanged_after_training_with_weight_decay_and_momentum(
    fit: Fit, tiny_backbone: Backbone, name: str
) -> None:
    before = {k: v.clone() for k, v in tiny_backbone.model.state_dict().items()}
    guard = fit(optim=OptimSettings(name=name, lr=0.01, weight_decay=0.5, momentum=0.9)).guard
    after = tiny_backbone.model.state_dict()
    frozen = [k for k in before if not k.startswith(("layer3", "layer4"))]
    assert "bn1.num_batches_tracked" in frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    assert not torch.equal(before["layer4.0.conv1.weight"], after["layer4.0.conv1.weight"])
    assert after["layer4.0.bn1.num_batches_tracked"] == 6  # 2 epochs of 3 batches
    assert guard.verified


class Recorder(L.Callback):
    """Notes at every batch what requires a gradient, and the rates of the groups."""

    def __init__(self) -> None:
        self.training: list[set[str]] = []
        self.rates: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        named = pl_module.backbone.model.named_parameters()
        self.training.append({name.split(".")[0] for name, p in named if p.requires_grad})
        self.rates.append(dict(pl_module.group_learning_rates()))


def test_gradual_unfreezing_thaws_at_its_epochs_and_every_thawed_stage_moves(fit: Fit, tiny_backbone: Backbone) -> None:
    before = {k: v.clone() for k, v in tiny_backbone.model.state_dict().items()}
    recorder = Recorder()
    fit(recorder, epochs=3, unfreeze_depth="all", thaw_after=1, thaw_every=1)
    assert recorder.training[::3] == [set(), {"layer4"}, {"layer3", "layer4"}]
    after = tiny_backbone.model.state_dict()
    assert {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])} == {"layer3", "layer4"}


@pytest.mark.parametrize("schedule", ["cosine", "constant", "one_cycle", "plateau"])
def test_every_schedule_survives_a_thaw_and_gives_every_group_its_rate(fit: Fit, schedule: str) -> None:
    """Pitfall 8: ReduceLROnPlateau raises and OneCycleLR fails where groups come later."""
    recorder = Recorder()
    optim = OptimSettings(lr=0.01, backbone_lr=0.001, schedule=schedule, plateau_patience=100)
    model = fit(recorder, epochs=3, unfreeze_depth=1, thaw_after=1, optim=optim).model
    for step, rates in enumerate(recorder.rates):
        factor = 1.0 if schedule == "plateau" else model.rates.factor("head", step)
        thawed = {"layer4": 0.001 * factor} if step >= 3 else {}
        assert rates == pytest.approx({"head": 0.01 * factor, **thawed}), step


def test_plateau_reduces_every_group_and_a_thaw_with_its_own_rate_starts_anew(fit: Fit) -> None:
    recorder = Recorder()
    # At a rate of 1e-6 nothing improves by enough to count.
    optim = OptimSettings(lr=1e-6, schedule="plateau", plateau_patience=0, restart_at_thaw=True)
    phases = [{"from_epoch": 0, "stages": ["head", -1]}, {"from_epoch": 2, "stages": ["head", -1], "lr": 5e-6}]
    fit(recorder, epochs=4, optim=optim, phases=phases, batchnorm="eval")
    per_epoch = [(rates["head"], rates["layer4"]) for rates in recorder.rates[::3]]
    # The first validation sets the mark, the second does not beat it; the new phase sets the mark anew.
    assert per_epoch[0] == per_epoch[1] == (1e-6, 1e-6)
    assert per_epoch[2] == pytest.approx((5e-6, 1e-6))
    assert per_epoch[3] == per_epoch[2]


def test_plateau_reduces_every_group_thawed_ones_included(fit: Fit) -> None:
    recorder = Recorder()
    optim = OptimSettings(lr=1e-6, schedule="plateau", plateau_patience=0, plateau_factor=0.5)
    fit(recorder, epochs=4, optim=optim, unfreeze_depth=1, thaw_after=2, batchnorm="eval")
    expected = [1e-6, 1e-6, 0.5e-6, 0.25e-6]  # the second validation is the first that does not improve
    assert [rates["head"] for rates in recorder.rates[::3]] == pytest.approx(expected)
    assert [rates["layer4"] for rates in recorder.rates[6::3]] == pytest.approx(expected[2:])


class Unfreezer(L.Callback):
    """Turns everything on before the fit, as another library's callback might."""

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.requires_grad_(True)
        pl_module.train()


def test_the_plan_is_applied_again_at_every_epoch_start(fit: Fit, tiny_backbone: Backbone) -> None:
    fitted = fit(Unfreezer())
    assert fitted.guard.verified
    assert not any(p.requires_grad for p in tiny_backbone.model.layer1.parameters())


@pytest.mark.parametrize("averaging", [StochasticWeightAveraging(swa_lrs=0.01), EMAWeightAveraging()])
def test_averaging_weights_is_refused_with_frozen_stages_only(tiny_backbone: Backbone, averaging: L.Callback) -> None:
    """Pitfall 14."""
    head = LinearHead(tiny_backbone.num_features, 4)
    for depth, refused in ((2, True), ("all", False)):
        bound = bind(StrategySettings("test", unfreeze_depth=depth), tiny_backbone, head)
        if refused:
            with pytest.raises(UserError, match=r"of 5 stages in some epoch; use regularize\.ema_decay"):
                refuse_unsafe([averaging], bound)
        else:
            refuse_unsafe([averaging], bound)
    thawing = bind(StrategySettings("test", unfreeze_depth="all", thaw_after=1), tiny_backbone, head)
    with pytest.raises(UserError, match="of 7 stages in some epoch"):
        refuse_unsafe([averaging], thawing)
    kept = bind(StrategySettings("test", unfreeze_depth="all", batchnorm="eval"), tiny_backbone, head)
    with pytest.raises(UserError, match="BatchNorm statistics, of 7 stages"):
        refuse_unsafe([averaging], kept)


class Modes(L.Callback):
    """Notes in every batch whether the head is in train mode."""

    def __init__(self) -> None:
        self.training: list[bool] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        self.training.append(pl_module.head.training)


def test_a_resting_head_is_in_eval_mode_during_the_fit(fit: Fit) -> None:
    modes = Modes()
    phases = [{"from_epoch": 0, "stages": ["head"]}, {"from_epoch": 1, "stages": [-1]}]
    fit(modes, epochs=3, phases=phases)
    assert modes.training == [True] * 3 + [False] * 6


def test_a_change_is_told_logged_and_wrapped_for_gradients_once(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head = LinearHead(tiny_backbone.num_features, 2)  # 194 parameters of 372,882
    bound = bind(StrategySettings("test", unfreeze_depth=2, thaw_after=1, thaw_every=1), tiny_backbone, head)
    wrapped: list[Any] = []
    logged: list[tuple[str, float, dict[str, Any]]] = []
    monkeypatch.setattr(applied_plan, "wrap_for_gradients", wrapped.append)
    module: Any = SimpleNamespace(log=lambda key, value, **how: logged.append((key, value, how)))
    bound.apply(0)  # as a run does before the model is wrapped
    callback = FreezeCallback.bound_to(bound)
    trainers: list[Any] = [SimpleNamespace(current_epoch=epoch) for epoch in range(4)]
    with caplog.at_level(logging.INFO):
        callback.on_fit_start(trainers[0], module)
        assert not any(p.requires_grad for p in tiny_backbone.parameters())
        for trainer in trainers:
            callback.on_train_epoch_start(trainer, module)
    assert wrapped == trainers[1:3]
    assert caplog.messages == [
        "Epoch 2: head, layer4 train. Trainable: 268,034 / 372,882 (71.88%)",
        "Epoch 3: head, layer4, layer3 train. Trainable: 310,466 / 372,882 (83.26%)",
    ]
    counts = {"freeze/trainable_params": [194, 268_034, 310_466, 310_466], "freeze/unfreeze_depth": [0, 1, 2, 2]}
    for key, values in counts.items():
        assert [value for name, value, _ in logged if name == key] == values
    assert all(how == {"sync_dist": True} for _, _, how in logged)


def test_several_processes_get_a_new_gradient_reducer_around_the_bare_module(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, module, made = DDPStrategy(), L.LightningModule(), list[Any]()
    reducer = DistributedDataParallel.__new__(DistributedDataParallel)  # a real one needs other processes
    nn.Module.__init__(reducer)
    strategy._lightning_module = module
    strategy.model = reducer
    monkeypatch.setattr(strategy, "configure_ddp", lambda: made.append(strategy.model))
    trainer: Any = SimpleNamespace(strategy=strategy)
    wrap_for_gradients(trainer)
    assert made == [module]
    strategy.model = module  # nothing is wrapped yet: the fit has not begun
    wrap_for_gradients(trainer)
    assert len(made) == 1


def test_only_our_own_module_is_taken_for_a_classifier() -> None:
    module = TransferClassifier.__new__(TransferClassifier)
    assert classifier(module) is module
    with pytest.raises(AssertionError):
        classifier(L.LightningModule())

"""The guard stops a run where something frozen changes, and names it."""

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch

from thawline.callbacks.guard import FreezeBreach, FreezeGuard
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.freezing.problems import mode_problems, optimizer_problems, requires_grad_problems
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings

Fit = Callable[..., Any]


class Meddler(L.Callback):
    """Does something to the module at one batch, as a careless callback might."""

    def __init__(self, act: Callable[[Any], object], *, epoch: int = 0) -> None:
        self.act, self.epoch = act, epoch

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        if (trainer.current_epoch, index) == (self.epoch, 1):
            with torch.no_grad():
                self.act(pl_module)


def nudge(module: Any) -> None:
    module.backbone.model.layer1[0].conv1.weight[0, 0, 0, 0] += 1e-6


def count_a_batch(module: Any) -> None:
    module.backbone.model.layer1[0].bn1.num_batches_tracked += 1


def test_a_frozen_weight_that_changed_is_named(fit: Fit) -> None:
    with pytest.raises(
        FreezeBreach, match=r"frozen tensors differ after training: backbone\.model\.layer1\.0\.conv1\.weight;"
    ):
        fit(Meddler(nudge))


def test_a_frozen_buffer_that_changed_is_named_at_the_next_change(fit: Fit) -> None:
    with pytest.raises(FreezeBreach, match=r"differ after epoch 1, before the plan changes: .*num_batches_tracked"):
        fit(Meddler(count_a_batch), unfreeze_depth=1, thaw_after=1)


def test_a_stage_may_change_while_it_trains_and_must_not_once_it_froze_again(fit: Fit, tiny_backbone: Backbone) -> None:
    phases = [{"from_epoch": 0, "stages": ["head", "layer1"]}, {"from_epoch": 1, "stages": ["head", -1]}]
    assert fit(Meddler(nudge, epoch=0), phases=phases).guard.verified
    with pytest.raises(FreezeBreach, match=r"after training: backbone\.model\.layer1\.0\.conv1\.weight"):
        fit(Meddler(nudge, epoch=1), phases=phases)


def test_a_parameter_thawed_in_mid_epoch_is_named(fit: Fit) -> None:
    def thaw(module: Any) -> None:
        module.backbone.model.layer1[0].bn1.weight.requires_grad_(True)

    with pytest.raises(FreezeBreach, match=r"epoch 1: backbone\.model\.layer1\.0\.bn1\.weight is frozen, but requires"):
        fit(Meddler(thaw))


def test_norm_tuning_guards_the_other_parameters_of_its_stages(fit: Fit) -> None:
    with pytest.raises(FreezeBreach, match=r"layer1\.0\.conv1\.weight"):
        fit(Meddler(nudge), unfreeze_depth="all", parameters="norm")


def test_the_guard_counts_its_checks_and_its_time(fit: Fit) -> None:
    guard = fit(epochs=3, unfreeze_depth="all", thaw_after=1, thaw_every=1).guard
    assert guard.checks == 4  # at the start, at two changes, at the end
    assert 0 < guard.seconds < 5


def test_a_resumed_run_still_knows_what_froze_again_and_since_when(fit: Fit, tiny_backbone: Backbone) -> None:
    guard = fit(epochs=1).guard
    state = guard.state_dict()
    resumed = FreezeGuard.bound_to(guard.bound)
    resumed.before = guard.before
    resumed.load_state_dict(state)
    with torch.no_grad():
        tiny_backbone.model.layer1[0].conv1.weight += 1  # while the run was cut off
    with pytest.raises(FreezeBreach, match=r"differ before training: .*layer1\.0\.conv1\.weight"):
        resumed.on_train_start(L.Trainer(logger=False, enable_progress_bar=False), guard.bound)


@pytest.fixture
def bound(tiny_backbone: Backbone) -> BoundPlan:
    made = bind(StrategySettings("test", unfreeze_depth=1), tiny_backbone, LinearHead(tiny_backbone.num_features, 2))
    made.apply(0)
    tiny_backbone.train()
    return made


def test_a_sound_model_has_no_problems(bound: BoundPlan) -> None:
    optimizer = torch.optim.SGD(bound.ever_trainable().values(), lr=0.1)
    assert [*requires_grad_problems(bound, 0), *mode_problems(bound, 0), *optimizer_problems(bound, [optimizer])] == []


def test_each_kind_of_problem_is_named(bound: BoundPlan) -> None:
    model = bound.backbone.model
    model.layer4[0].conv1.weight.requires_grad = False
    model.layer1[0].conv1.weight.grad = torch.zeros_like(model.layer1[0].conv1.weight)
    assert list(requires_grad_problems(bound, 0)) == [
        "backbone.model.layer1.0.conv1.weight is frozen, but has a gradient",
        "backbone.model.layer4.0.conv1.weight should train, but requires no gradient",
    ]
    model.layer1[0].bn1.train()
    assert list(mode_problems(bound, 0)) == ["backbone.model.layer1.0.bn1 is frozen, but in train mode"]
    held = [*bound.head_parameters.values(), model.layer1[0].bn1.weight, bound.head_parameters["bias"]]
    with pytest.warns(UserWarning, match="duplicate"):
        optimizer = torch.optim.SGD(held, lr=0.1)
    problems = list(optimizer_problems(bound, [optimizer]))
    assert "backbone.model.layer1.0.bn1.weight never trains, but the optimizer holds it" in problems
    assert "head.bias is in the optimizer 2 times" in problems
    assert "backbone.model.layer4.0.conv1.weight trains, but no optimizer holds it" in problems

"""The guard stops a run where something frozen changes, and names it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from thawline.callbacks import guard as guarding
from thawline.callbacks.guard import FreezeBreach, FreezeGuard, agree_across_processes
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.freezing.problems import mode_problems, optimizer_problems, requires_grad_problems
from thawline.models.backbone import Backbone
from thawline.models.digests import combined, digests
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


def test_a_resting_head_in_train_mode_is_named(tiny_backbone: Backbone) -> None:
    phases = [{"from_epoch": 0, "stages": ["head"]}, {"from_epoch": 1, "stages": [-1]}]
    head = LinearHead(tiny_backbone.num_features, 2)
    bound = bind(StrategySettings("test", phases=phases), tiny_backbone, head)
    bound.apply(1)
    assert list(mode_problems(bound, 1)) == []
    head.train()
    assert list(mode_problems(bound, 1)) == ["head is frozen, but in train mode"]


def at_epoch(epoch: int, bound: BoundPlan) -> Any:
    """What the guard asks of a trainer."""
    optimizer = torch.optim.SGD(bound.ever_trainable().values(), lr=0.1)
    return SimpleNamespace(current_epoch=epoch, optimizers=[optimizer])


@pytest.fixture
def guard(bound: BoundPlan) -> FreezeGuard:
    """One that has seen the pretrained weights and the start of the training."""
    guard = FreezeGuard.bound_to(bound)
    assert (guard.seconds, guard.checks, guard.verified) == (0.0, 0, None)
    trainer = at_epoch(0, bound)
    guard.setup(trainer, trainer, "fit")
    guard.on_train_start(trainer, trainer)
    assert guard.verified
    return guard


def add_one(*tensors: torch.Tensor) -> None:
    with torch.no_grad():
        for tensor in tensors:
            tensor += 1


@pytest.mark.parametrize(
    ("number", "ends"), [(3, r"conv2\.weight; the run"), (5, r"conv2\.weight and 2 more; the run")]
)
def test_of_many_changed_tensors_three_are_named(guard: FreezeGuard, number: int, ends: str) -> None:
    block = guard.bound.backbone.model.layer1[0]
    changed = [block.conv1.weight, block.bn1.weight, block.conv2.weight, block.bn2.weight, block.bn2.bias]
    add_one(*changed[:number])
    trainer = at_epoch(0, guard.bound)
    with pytest.raises(FreezeBreach, match=rf"conv1\.weight, \S+bn1\.weight, \S+{ends}"):
        guard.on_train_end(trainer, trainer)
    assert guard.verified is False


def test_weights_that_are_tested_must_be_the_pretrained_ones_where_nothing_trained(guard: FreezeGuard) -> None:
    model, trainer = guard.bound.backbone.model, at_epoch(0, guard.bound)
    add_one(model.layer4[0].conv1.weight, guard.bound.head_parameters["bias"])  # these train
    guard.on_test_end(trainer, trainer)
    add_one(model.layer3[0].conv1.weight)
    with pytest.raises(FreezeBreach, match=r"differ in the weights that were tested: \S+layer3\.0\.conv1\.weight;"):
        guard.on_test_end(trainer, trainer)


def test_an_epoch_does_not_begin_with_a_frozen_parameter_that_could_train(guard: FreezeGuard) -> None:
    first, second = at_epoch(0, guard.bound), at_epoch(1, guard.bound)
    guard.on_train_batch_start(first, first, None, 0)
    guard.bound.backbone.model.layer1[0].bn1.weight.requires_grad_(True)
    with pytest.raises(FreezeBreach, match=r"epoch 2: \S+layer1\.0\.bn1\.weight is frozen, but requires a gradient"):
        guard.on_train_batch_start(second, second, None, 0)
    assert guard.verified is False


def test_a_stage_that_thaws_in_the_first_epoch_of_a_resumed_run_must_not_have_changed_yet(
    tiny_backbone: Backbone,
) -> None:
    head = LinearHead(tiny_backbone.num_features, 2)
    bound = bind(StrategySettings("test", unfreeze_depth=1, thaw_after=1), tiny_backbone, head)
    guard, trainer = FreezeGuard.bound_to(bound), at_epoch(1, bound)
    guard.setup(trainer, trainer, "fit")
    add_one(tiny_backbone.model.layer4[0].conv1.weight)
    with pytest.raises(FreezeBreach, match=r"before training: \S+layer4\.0\.conv1\.weight"):
        guard.on_train_start(trainer, trainer)


def test_a_resumed_guard_adds_to_the_time_and_the_checks_of_the_one_before(bound: BoundPlan) -> None:
    guard = FreezeGuard.bound_to(bound)
    guard.seconds = 1.0
    guard.load_state_dict({"checks": 3, "seconds": 2.0, "since": {}})
    assert (guard.seconds, guard.checks) == (3.0, 3)


def test_processes_are_compared_before_the_plan_changes_and_at_the_end(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    monkeypatch.setattr(guarding, "agree_across_processes", lambda bound: compared.append(1))
    fit(epochs=3, unfreeze_depth=1, thaw_after=1)
    assert len(compared) == 2


@pytest.mark.parametrize(("others", "agrees"), [((), True), (("same",), True), (("same", "other"), False)])
def test_all_processes_must_hold_the_same_parameters(
    bound: BoundPlan, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...], agrees: bool
) -> None:
    mine = combined(digests({n: t for n, t in bound.tensors().items() if isinstance(t, nn.Parameter)}))
    gathered: list[str] = []

    def gather(everyones: list[str], checksum: str) -> None:
        gathered.append(checksum)
        everyones[:] = [checksum, *(mine if other == "same" else other for other in others)]

    dist = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_world_size=lambda: 1 + len(others),
        all_gather_object=gather,
    )
    monkeypatch.setattr(guarding, "dist", dist)
    if agrees:
        agree_across_processes(bound)
    else:
        with pytest.raises(FreezeBreach, match="the processes hold different parameters"):
            agree_across_processes(bound)
    assert gathered == ([mine] if others else [])  # a process alone asks nobody


def test_a_torch_without_distributed_training_has_no_processes_to_compare(
    bound: BoundPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "dist", SimpleNamespace(is_available=lambda: False))  # nothing else is there
    agree_across_processes(bound)

"""Frozen means frozen; the diagnostic line is true to the character."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.freezing.status import StageStatus, counted_line, status
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.digests import differing, digests
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings


def bound_to(backbone: Backbone, *, num_classes: int = 2, **strategy: Any) -> BoundPlan:
    return bind(StrategySettings("test", **strategy), backbone, LinearHead(backbone.num_features, num_classes))


def test_diagnostic_line_of_a_frozen_resnet18_with_ten_classes() -> None:
    bound = bound_to(build_backbone("resnet18", weights="none"), num_classes=10, unfreeze_depth=0)
    bound.apply(0)
    rows = status(bound.backbone, bound.head)
    line = counted_line(sum(r.num_trainable for r in rows), sum(r.num_params for r in rows))
    assert line == "Trainable: 5,130 / 11,181,642 (0.05%)"


def test_status_counts_by_hand() -> None:
    bound = bound_to(build_backbone("resnet18", weights="none"), unfreeze_depth=1)
    bound.apply(0)
    rows = {row.name: row for row in status(bound.backbone, bound.head)}
    assert rows["conv1"].num_params == 3 * 64 * 49 + 2 * 64  # the convolution and its BatchNorm
    assert (rows["conv1"].num_trainable, rows["conv1"].mode) == (0, "frozen")
    assert rows["layer4"].num_trainable == rows["layer4"].num_params
    assert (rows["head"].num_params, rows["head"].mode) == (512 * 2 + 2, "train")


def test_parameters_that_no_stage_reads_have_a_row_of_their_own_and_never_train(tiny_backbone: Backbone) -> None:
    tiny_backbone.model.register_parameter("spare", nn.Parameter(torch.zeros(3)))
    bound = bound_to(tiny_backbone, unfreeze_depth="all")
    bound.apply(0)
    rows = status(tiny_backbone, bound.head)
    assert [row.name for row in rows[-3:]] == ["layer4", "unused", "head"]
    assert rows[-2] == StageStatus("unused", 3, 0, "frozen")
    assert "backbone.model.spare" not in bound.ever_trainable()


def _train_steps(bound: BoundPlan, *, steps: int, optimizer: torch.optim.Optimizer) -> None:
    for step in range(steps):
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        loss = F.cross_entropy(bound.head(bound.backbone(images)), torch.arange(4) % 2)
        optimizer.zero_grad(set_to_none=False)  # leaves zeros, as many training loops do
        loss.backward()
        optimizer.step()


REFREEZE = [{"from_epoch": 0, "stages": ["head", "all"]}, {"from_epoch": 1, "stages": ["head", -1]}]


def test_freezing_midway_stops_weight_decay_and_momentum_and_batchnorm(tiny_backbone: Backbone) -> None:
    """Pitfall 13: a gradient of zero would let weight decay and momentum go on."""
    bound = bound_to(tiny_backbone, phases=REFREEZE)
    nn.init.normal_(bound.head_parameters["weight"])
    optimizer = torch.optim.SGD(bound.ever_trainable().values(), lr=0.1, momentum=0.9, weight_decay=0.1)
    bound.apply(0)
    tiny_backbone.train()
    _train_steps(bound, steps=2, optimizer=optimizer)
    bound.apply(1)
    frozen = digests(bound.frozen_tensors(1))
    weights = tiny_backbone.model.layer4[0].conv1.weight.clone()
    _train_steps(bound, steps=2, optimizer=optimizer)
    assert "backbone.model.layer3.0.bn1.num_batches_tracked" in frozen
    assert differing(frozen, digests(bound.frozen_tensors(1))) == []
    assert not torch.equal(weights, tiny_backbone.model.layer4[0].conv1.weight)


def test_a_thawed_parameter_trains_and_so_does_its_twin(tiny_backbone: Backbone) -> None:
    """Pitfall 9: of two layers with equal values, comparing by value would drop one."""
    twins = [tiny_backbone.model.layer4[0].bn1.weight, tiny_backbone.model.layer4[0].bn2.weight]
    nn.init.ones_(twins[0])
    nn.init.ones_(twins[1])
    bound = bound_to(tiny_backbone, unfreeze_depth=1, thaw_after=1)
    nn.init.normal_(bound.head_parameters["weight"])
    optimizer = torch.optim.SGD(bound.ever_trainable().values(), lr=0.1)
    for epoch in range(2):
        bound.apply(epoch)
        tiny_backbone.train()
        _train_steps(bound, steps=1, optimizer=optimizer)
    assert all(not torch.equal(twin, torch.ones_like(twin)) for twin in twins)


def test_a_frozen_stage_answers_the_same_in_train_and_eval_mode(tiny_backbone: Backbone) -> None:
    """Pitfall 10: running statistics in both modes, and none of them moves."""
    bound = bound_to(tiny_backbone, unfreeze_depth=1)
    bound.apply(0)
    images = torch.randn(4, 3, 32, 32)
    cut = tiny_backbone.frozen_prefix
    before = digests(bound.frozen_tensors(0))
    training = tiny_backbone.train().prefix(images, cut)
    assert torch.equal(training, tiny_backbone.eval().prefix(images, cut))
    assert differing(before, digests(bound.frozen_tensors(0))) == []


def test_what_is_watched_covers_single_buffers_and_what_belongs_to_no_stage(tiny_backbone: Backbone) -> None:
    bound = bound_to(tiny_backbone, unfreeze_depth=3)
    before = digests(bound.frozen_tensors(0))
    tiny_backbone.model.layer1[0].bn1.num_batches_tracked += 1
    tiny_backbone.mean += 1e-3  # a buffer that no checkpoint holds
    tiny_backbone.model.layer4[0].bn1.num_batches_tracked += 1  # trains: may
    changed = differing(before, digests(bound.tensors()))
    assert changed == ["backbone.mean", "backbone.model.layer1.0.bn1.num_batches_tracked"]
    owners = bound.stage_of()
    assert [owners[name] for name in changed] == ["outside the stages", "layer1"]


def test_batchnorm_policy_eval_keeps_statistics_in_training_stages(tiny_backbone: Backbone) -> None:
    for policy, moves in (("train", True), ("eval", False)):
        bound = bound_to(tiny_backbone, unfreeze_depth=1, batchnorm=policy)
        bound.apply(0)
        tiny_backbone.train()
        norm = tiny_backbone.model.layer4[0].bn1
        before = norm.running_mean.clone()
        tiny_backbone(torch.randn(4, 3, 32, 32))
        assert norm.training is moves
        assert torch.equal(before, norm.running_mean) is not moves
        assert ("backbone.model.layer4.0.bn1.running_mean" in bound.frozen_tensors(0)) is not moves


def test_norm_tuning_trains_the_affine_parameters_only(tiny_backbone: Backbone) -> None:
    bound = bound_to(tiny_backbone, unfreeze_depth="all", parameters="norm")
    names = {name for name in bound.trainable(0) if name.startswith("backbone.")}
    norms = [m for m in tiny_backbone.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(names) == 2 * len(norms)
    assert {id(bound.trainable(0)[n]) for n in names} == {id(p) for m in norms for p in (m.weight, m.bias)}
    assert "backbone.model.layer4.0.conv1.weight" in bound.never_training()


def test_a_block_with_norm_in_its_name_does_not_count_with_all_that_is_in_it(tiny_backbone: Backbone) -> None:
    block = tiny_backbone.model.layer4[0]
    block.__class__ = type("PreNormBlock", (type(block),), {})
    names = bound_to(tiny_backbone, unfreeze_depth="all", parameters="norm").trainable(0)
    assert "backbone.model.layer4.0.bn1.weight" in names
    assert "backbone.model.layer4.0.conv1.weight" not in names


@pytest.mark.parametrize(
    ("model", "count"),
    [("vit_tiny_patch16_224", 12 * 6 + 2), ("resnet18", 20)],  # per block: two norms, qkv, proj, fc1, fc2
)
def test_bias_tuning_trains_the_biases_only(model: str, count: int) -> None:
    bound = bound_to(build_backbone(model, weights="none"), unfreeze_depth="all", parameters="bias")
    names = [name for name in bound.trainable(0) if name.startswith("backbone.")]
    assert len(names) == count
    assert all(name.endswith("bias") for name in names)


def test_names_and_identities_survive_freezing_and_unfreezing(tiny_backbone: Backbone) -> None:
    """Pitfall 11."""
    before = [(name, id(p)) for name, p in tiny_backbone.named_parameters()]
    keys = list(tiny_backbone.state_dict())
    bound = bound_to(tiny_backbone, unfreeze_depth="all", thaw_after=1)
    bound.apply(0)
    bound.apply(1)
    assert [(name, id(p)) for name, p in tiny_backbone.named_parameters()] == before
    assert list(tiny_backbone.state_dict()) == keys
    assert all(p.requires_grad for p in tiny_backbone.parameters())


def test_frozen_parameters_have_no_gradient_tensor(tiny_backbone: Backbone) -> None:
    for parameter in tiny_backbone.parameters():
        parameter.grad = torch.zeros_like(parameter)
    bound_to(tiny_backbone, unfreeze_depth=1).apply(0)
    grads = {name: p.grad for name, p in tiny_backbone.model.named_parameters()}
    assert all((grad is not None) == name.startswith("layer4") for name, grad in grads.items())


def test_a_run_that_ends_before_a_thaw_never_trains_what_would_thaw(tiny_backbone: Backbone) -> None:
    bound = bound_to(tiny_backbone, unfreeze_depth=1, thaw_after=2)
    assert "backbone.model.layer4.0.conv1.weight" in bound.ever_trainable()
    assert list(bound.until(2).ever_trainable()) == ["head.weight", "head.bias"]
    assert "backbone.model.layer4.0.bn1.running_mean" in bound.until(2).never_training()
    assert len(bound.plan.phases) == 2  # the whole plan stays as it was


def test_a_phase_in_which_nothing_trains_is_refused(tiny_backbone: Backbone) -> None:
    phases = [{"from_epoch": 0, "stages": ["head"]}, {"from_epoch": 2, "stages": []}]
    with pytest.raises(UserError, match=r"nothing trains from epoch 2 on \(no stage, parameters=all\)"):
        bound_to(tiny_backbone, phases=phases)


def test_a_backbone_stage_called_head_is_not_taken_for_the_head() -> None:
    bound = bound_to(build_backbone("efficientvit_b0", weights="none", image_size=64), unfreeze_depth=0)
    assert bound.plan.stage_names[-1] == "backbone.head"
    assert {owner for name, owner in bound.stage_of().items() if name.startswith("backbone.model.head")} == {
        "backbone.head"
    }


def test_a_heads_own_buffers_move_while_it_trains_and_are_watched_while_it_rests(tiny_backbone: Backbone) -> None:
    head = nn.Sequential(nn.BatchNorm1d(tiny_backbone.num_features), nn.Linear(tiny_backbone.num_features, 2))
    phases = [{"from_epoch": 0, "stages": ["head"]}, {"from_epoch": 1, "stages": [-1]}]
    bound = bind(StrategySettings("test", phases=phases), tiny_backbone, head)
    assert "head.0.running_mean" not in bound.frozen_tensors(0)
    assert "head.0.running_mean" in bound.frozen_tensors(1)
    tiny_backbone.train()
    bound.apply(1)
    assert not head[0].training


def test_a_resting_head_is_frozen_and_its_fixed_part_never_thaws(tiny_backbone: Backbone) -> None:
    head = LinearHead(tiny_backbone.num_features, 2)
    head.bias.requires_grad = False
    listed = [{"from_epoch": 0, "stages": ["head"]}, {"from_epoch": 1, "stages": [-1]}]
    bound = bind(StrategySettings("test", phases=listed), tiny_backbone, head)
    states = []
    for epoch in range(2):
        bound.apply(epoch)
        states.append((head.weight.requires_grad, head.bias.requires_grad))
    assert states == [(True, False), (False, False)]

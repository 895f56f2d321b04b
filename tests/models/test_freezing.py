"""Frozen means frozen; the diagnostic line is true to the character."""

import pytest
import torch
import torch.nn.functional as F

from thawline.errors import UserError
from thawline.models import freezing
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.heads import LinearHead


def plan(depth: int | str, num_stages: int = 5) -> freezing.FreezePlan:
    return freezing.make_plan(depth, num_stages=num_stages, model_name="resnet18")


def test_diagnostic_line_of_a_frozen_resnet18_with_ten_classes() -> None:
    backbone = build_backbone("resnet18", weights="none")
    freezing.apply(backbone, plan(0).training_stages(0))
    rows = freezing.status(backbone, LinearHead(backbone.num_features, 10))
    assert freezing.trainable_line(rows) == "Trainable: 5,130 / 11,181,642 (0.05%)"


@pytest.mark.parametrize(
    ("depth", "stages"), [(0, set()), (1, {4}), (2, {3, 4}), (5, set(range(5))), ("all", set(range(5)))]
)
def test_depth_counts_final_stages(depth: int | str, stages: set[int]) -> None:
    assert plan(depth).training_stages(0) == stages
    assert plan(depth).training_stages(7) == stages


@pytest.mark.parametrize("depth", [-1, 6, "some", 1.5, True])
def test_a_depth_out_of_range_names_the_stage_count(depth: object) -> None:
    with pytest.raises(
        UserError, match=r"strategy\.unfreeze_depth=.*resnet18 has 5 stages; allowed are 0 .* to 5, or all"
    ):
        plan(depth)  # type: ignore[arg-type]


def test_status_counts_by_hand() -> None:
    backbone = build_backbone("resnet18", weights="none")
    freezing.apply(backbone, frozenset({4}))
    rows = {row.name: row for row in freezing.status(backbone, LinearHead(512, 2))}
    assert rows["conv1"].num_params == 3 * 64 * 49 + 2 * 64  # the convolution and its BatchNorm
    assert (rows["conv1"].num_trainable, rows["conv1"].mode) == (0, "frozen")
    assert rows["layer4"].num_trainable == rows["layer4"].num_params
    assert (rows["head"].num_params, rows["head"].mode) == (512 * 2 + 2, "train")


def _train_steps(backbone: Backbone, *, steps: int, optimizer: torch.optim.Optimizer, head: LinearHead) -> None:
    for step in range(steps):
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        loss = F.cross_entropy(head(backbone(images)), torch.arange(4) % 2)
        optimizer.zero_grad(set_to_none=False)  # leaves zeros, as many training loops do
        loss.backward()
        optimizer.step()


def test_freezing_midway_stops_weight_decay_and_momentum_and_batchnorm(tiny_backbone: Backbone) -> None:
    head = LinearHead(tiny_backbone.num_features, 2)
    torch.nn.init.normal_(head.weight)
    parameters = [*tiny_backbone.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1)
    freezing.apply(tiny_backbone, frozenset(range(7)))
    tiny_backbone.train()
    _train_steps(tiny_backbone, steps=2, optimizer=optimizer, head=head)
    freezing.apply(tiny_backbone, frozenset({6}))
    before = freezing.stage_checksums(tiny_backbone)
    _train_steps(tiny_backbone, steps=2, optimizer=optimizer, head=head)
    after = freezing.stage_checksums(tiny_backbone)
    assert freezing.changed(before, after, backbone=tiny_backbone, trained={6}) == []
    assert before["layer4"] != after["layer4"]


def test_changed_stages_sees_a_single_buffer(tiny_backbone: Backbone) -> None:
    before = freezing.stage_checksums(tiny_backbone)
    tiny_backbone.model.layer2[0].bn1.num_batches_tracked += 1
    after = freezing.stage_checksums(tiny_backbone)
    assert freezing.changed(before, after, backbone=tiny_backbone, trained=set()) == ["layer2"]
    assert freezing.changed(before, after, backbone=tiny_backbone, trained={4}) == []  # layer2 may


def test_what_belongs_to_no_stage_is_watched_too(tiny_backbone: Backbone) -> None:
    before = freezing.stage_checksums(tiny_backbone)
    tiny_backbone.mean += 1e-3  # a buffer that no checkpoint holds
    after = freezing.stage_checksums(tiny_backbone)
    assert freezing.changed(before, after, backbone=tiny_backbone, trained=range(7)) == ["outside the stages"]


def test_names_and_identities_survive_freezing_and_unfreezing(tiny_backbone: Backbone) -> None:
    before = [(name, id(p)) for name, p in tiny_backbone.named_parameters()]
    keys = list(tiny_backbone.state_dict())
    freezing.apply(tiny_backbone, frozenset())
    freezing.apply(tiny_backbone, frozenset(range(7)))
    assert [(name, id(p)) for name, p in tiny_backbone.named_parameters()] == before
    assert list(tiny_backbone.state_dict()) == keys
    assert all(p.requires_grad for p in tiny_backbone.parameters())


def test_frozen_parameters_have_no_gradient_tensor(tiny_backbone: Backbone) -> None:
    for parameter in tiny_backbone.parameters():
        parameter.grad = torch.zeros_like(parameter)
    freezing.apply(tiny_backbone, frozenset({6}))
    grads = {name: p.grad for name, p in tiny_backbone.model.named_parameters()}
    assert all((grad is not None) == name.startswith("layer4") for name, grad in grads.items())

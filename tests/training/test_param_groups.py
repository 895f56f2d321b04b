"""Every trained parameter in one group, frozen ones in none."""

from typing import Any

import pytest

from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.param_groups import build_param_groups

OPTIM = OptimSettings(lr=1e-2, backbone_lr=1e-3, layer_decay=0.5, weight_decay=0.1)


def bound_to(backbone: Backbone, head: LinearHead | None = None, **strategy: Any) -> BoundPlan:
    return bind(StrategySettings("test", **strategy), backbone, head or LinearHead(backbone.num_features, 2))


def test_groups_cover_the_training_stages_and_the_head_once(tiny_backbone: Backbone) -> None:
    bound = bound_to(tiny_backbone, unfreeze_depth=2)
    groups = build_param_groups(bound, OPTIM)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in bound.ever_trainable().values())
    assert [g["name"] for g in groups] == [
        "layer3", "layer3/no_decay", "layer4", "layer4/no_decay", "head", "head/no_decay",
    ]  # fmt: skip


def test_learning_rate_and_decay_by_hand(tiny_backbone: Backbone) -> None:
    """Pitfall 16: the rate itself is in the group, no scale that a scheduler may not know of."""
    groups = build_param_groups(bound_to(tiny_backbone, unfreeze_depth="all"), OPTIM)
    rates = {g["name"]: g["lr"] for g in groups}
    assert rates["head"] == 1e-2
    assert rates["layer4"] == 1e-3
    assert rates["layer2"] == pytest.approx(1e-3 * 0.25)  # two stages below the last
    for group in groups:
        assert group["weight_decay"] == (0.0 if group["name"].endswith("no_decay") else 0.1)
        assert all((p.ndim < 2) == group["name"].endswith("no_decay") for p in group["params"])


def test_a_fixed_part_of_a_head_reaches_no_group(tiny_backbone: Backbone) -> None:
    head = LinearHead(tiny_backbone.num_features, 2)
    head.weight.requires_grad = False
    groups = build_param_groups(bound_to(tiny_backbone, head, unfreeze_depth=0), OPTIM)
    assert [id(p) for group in groups for p in group["params"]] == [id(head.bias)]


def test_two_equal_layers_both_get_a_group(tiny_backbone: Backbone) -> None:
    blocks = tiny_backbone.model.layer4[0]
    blocks.conv1.weight.data.fill_(0.5)  # equal values must not be taken for the same parameter
    blocks.bn1.weight.data.fill_(1.0)
    groups = build_param_groups(bound_to(tiny_backbone, unfreeze_depth=1), OPTIM)
    count = sum(len(g["params"]) for g in groups if g["name"].startswith("layer4"))
    assert count == len(list(tiny_backbone.model.layer4.parameters()))

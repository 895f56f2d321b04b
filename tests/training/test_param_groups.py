"""Every trained parameter in one group, frozen ones in none."""

from typing import Any

import pytest

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.models.backbone import Backbone, build_backbone
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


def rates_of(backbone: Backbone, optim: OptimSettings, **strategy: Any) -> dict[str, float]:
    groups = build_param_groups(bound_to(backbone, **strategy), optim)
    return {g["name"]: g["lr"] for g in groups}


def test_all_of_a_pretrained_transformer_trains_more_slowly_block_by_block() -> None:
    """By hand: 0.75^12 at the patch embedding of 13 stages, 1 at the last block; the head at its own rate."""
    vit = build_backbone("vit_tiny_patch16_224", weights="none", image_size=32)
    vit.pretrained = True
    auto = OptimSettings(lr=1e-3, backbone_lr=3e-4)
    rates = rates_of(vit, auto, unfreeze_depth="all")
    assert rates["head"] == 1e-3
    assert rates["blocks.11"] == rates["blocks.11/no_decay"] == 3e-4
    assert rates["blocks.10"] == pytest.approx(2.25e-4)  # 3e-4 * 0.75
    assert rates["blocks.9"] == pytest.approx(1.6875e-4)
    assert rates["patch_embed"] == pytest.approx(9.503e-6, rel=1e-3)  # 3e-4 * 0.031676
    by_hand = rates_of(vit, OptimSettings(lr=1e-3, backbone_lr=3e-4, layer_decay=1), unfreeze_depth="all")
    assert {name: rate for name, rate in by_hand.items() if rate != 3e-4} == {"head": 1e-3, "head/no_decay": 1e-3}
    for strategy in ({"unfreeze_depth": 4}, {"unfreeze_depth": "all", "parameters": "norm"}):
        assert set(rates_of(vit, auto, **strategy).values()) == {1e-3, 3e-4}
    vit.pretrained = False
    assert set(rates_of(vit, auto, unfreeze_depth="all").values()) == {1e-3, 3e-4}


def test_a_convolutional_network_trains_at_one_rate(tiny_backbone: Backbone) -> None:
    tiny_backbone.pretrained = True
    rates = rates_of(tiny_backbone, OptimSettings(lr=1e-3, backbone_lr=3e-4), unfreeze_depth="all")
    assert set(rates.values()) == {1e-3, 3e-4}


@pytest.mark.parametrize("given", ["slow", True, None, -0.1, 1.1])
def test_a_layer_decay_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(UserError, match=r"optim\.layer_decay"):
        OptimSettings(layer_decay=given)


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

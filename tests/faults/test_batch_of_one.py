"""One image a batch: refused where a BatchNorm would get one value per channel, and nowhere else."""

from typing import Any

import pytest
import torch
from torch import nn

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import make_plan
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.batch_of_one import one_value_batchnorms, refuse_one_value_per_channel


def bound(name: str, size: int, *, head: nn.Module | None = None, **strategy: Any) -> BoundPlan:
    backbone = Backbone(name, weights="none", image_size=size)
    names = [stage.name for stage in backbone.stages]
    plan = make_plan(StrategySettings("test", **strategy), stage_names=names, model_name=name)
    return BoundPlan(plan, backbone, head or LinearHead(backbone.num_features, 3))


def names(plan: BoundPlan) -> list[str]:
    return one_value_batchnorms(plan, num_features=plan.backbone.num_features)


def test_a_batchnorm_of_one_position_is_refused_by_name() -> None:
    plan = bound("resnet18", 32, unfreeze_depth="all")  # its last stage has a map of 1 x 1
    assert names(plan)[0] == "layer4.0.bn1"
    with pytest.raises(UserError, match=r"data.batch_size=1: layer4.0.bn1 would see one value per channel.*=2"):
        refuse_one_value_per_channel(plan, batch_size=1, num_features=512)
    refuse_one_value_per_channel(plan, batch_size=2, num_features=512)
    plan.apply(0)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):  # what it is refused for
        plan.backbone.train()(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("size", "strategy"),
    [(64, {"unfreeze_depth": "all"}), (32, {"unfreeze_depth": 0}), (32, {"unfreeze_depth": 2, "batchnorm": "eval"})],
    ids=["a larger map", "frozen", "statistics kept"],
)
def test_what_can_train_is_not_refused(size: int, strategy: dict[str, Any]) -> None:
    plan = bound("resnet18", size, **strategy)
    assert names(plan) == []
    plan.apply(0)
    plan.head(plan.backbone.train()(torch.zeros(1, 3, size, size)))


def test_a_head_with_batchnorm_is_refused_also_where_the_backbone_is_frozen() -> None:
    head = nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, 3))
    plan = bound("resnet18", 32, head=head, unfreeze_depth=0)
    before = {name: tensor.clone() for name, tensor in plan.tensors().items()}
    assert names(plan) == ["head.0"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in plan.tensors().items())
    assert head.training


def test_the_command_says_it_in_one_line(run_cli: Any, image_folder: Any) -> None:
    tiny = ("model.name=resnet18", "model.weights=none", "model.image_size=32", "data.batch_size=1")
    result = run_cli(*tiny, "strategy=full_fine_tune", "data=folder", f"data.root={image_folder}", "data.num_workers=0")
    assert result.code == 2
    assert result.err.startswith("error: data.batch_size=1: layer4.0.bn1 would see one value per channel")
    assert "Note" not in result.out

"""Named optimizer groups: one learning rate per stage, no weight decay on norms and biases, built once."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from thawline.models.backbone import Backbone

ParamGroup = dict[str, Any]


def build_param_groups(
    backbone: Backbone,
    head: nn.Module,
    *,
    stages: Iterable[int],
    lr: float,
    backbone_lr: float,
    layer_decay: float,
    weight_decay: float,
) -> list[ParamGroup]:
    """Build the optimizer's groups for the head and for every stage that trains in at least one epoch.

    Group `head` gets `lr`; stage i of S gets `backbone_lr * layer_decay ** (S - 1 - i)`. Parameters with fewer than
    two dimensions (norms, biases) go to a group of their own, named `<stage>/no_decay`, without weight decay.

    Args:
        stages: Indices of the stages that ever train. Frozen stages get no group, so no optimizer state.
    Returns:
        Dicts with `params`, `name`, `lr`, `weight_decay`; every parameter in exactly one.
    """
    groups: list[ParamGroup] = []
    for index in sorted(stages):
        stage_lr = backbone_lr * layer_decay ** (backbone.num_stages - 1 - index)
        parameters = backbone.stage_parameters(index).values()
        groups += _by_decay(backbone.stages[index].name, parameters, lr=stage_lr, weight_decay=weight_decay)
    return groups + _by_decay("head", head.parameters(), lr=lr, weight_decay=weight_decay)


def _by_decay(name: str, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> list[ParamGroup]:
    parameters = [p for p in parameters if p.requires_grad]  # a head may have fixed parts
    weights = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    groups = [
        {"name": name, "params": weights, "lr": lr, "weight_decay": weight_decay},
        {"name": f"{name}/no_decay", "params": others, "lr": lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]

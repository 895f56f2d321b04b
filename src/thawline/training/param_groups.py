"""Named optimizer groups: one learning rate per stage, no weight decay on norms and biases, built once."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from thawline.freezing.bound_plan import BoundPlan
from thawline.settings.optim_settings import OptimSettings
from thawline.training.stage_rates import stage_lr

ParamGroup = dict[str, Any]
NO_DECAY = "/no_decay"


def build_param_groups(bound: BoundPlan, optim: OptimSettings, *, backbone_decay: bool = True) -> list[ParamGroup]:
    """Build the optimizer's groups for the head and for every stage that trains in at least one epoch.

    Group `head` gets `optim.lr`; stage i of S gets `backbone_lr * layer_decay ** (S - 1 - i)`. Parameters with fewer
    than two dimensions (norms, biases) go to a group of their own, named `<stage>/no_decay`, without weight decay.

    Args:
        backbone_decay: Whether weight decay pulls the backbone towards zero; L2-SP pulls it elsewhere.
    Returns:
        Dicts with `params`, `name`, `lr`, `base_lr` (the same, for later), `weight_decay`; every parameter that ever
        trains in exactly one.
    """
    groups: list[ParamGroup] = []
    decay = optim.weight_decay if backbone_decay else 0.0
    for index in sorted(bound.ever_training()):
        rate = stage_lr(index, bound, optim)
        name, parameters = bound.plan.stage_names[index], bound.stage_parameters(index).values()
        groups += _by_decay(name, parameters, lr=rate, weight_decay=decay)
    return groups + _by_decay("head", bound.head_parameters.values(), lr=optim.lr, weight_decay=optim.weight_decay)


def _by_decay(name: str, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float) -> list[ParamGroup]:
    parameters = list(parameters)
    weights = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    rates = {"lr": lr, "base_lr": lr}
    groups = [
        {"name": name, "params": weights, **rates, "weight_decay": weight_decay},
        {"name": f"{name}{NO_DECAY}", "params": others, **rates, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]

"""BatchNorm cannot be trained on one value per channel: a batch of one image, where the map is one position."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.errors import UserError
from thawline.freezing.bound_plan import BoundPlan


def refuse_one_value_per_channel(bound: BoundPlan, *, batch_size: int, num_features: int) -> None:
    """Refuse batches of one image where a BatchNorm that trains in some epoch gets one value per channel of them.

    Looks at one image; nothing of the model changes.

    Args:
        num_features: Width of what the head reads.
    Raises:
        UserError: There is such a BatchNorm; training would end with an error at its first step.
    """
    if batch_size > 1:
        return
    for name in one_value_batchnorms(bound, num_features=num_features):
        raise UserError(
            f"data.batch_size={batch_size}: {name} would see one value per channel, and BatchNorm needs two to train; "
            "take data.batch_size=2 or more, or strategy.batchnorm=eval"
        )


def one_value_batchnorms(bound: BoundPlan, *, num_features: int) -> list[str]:
    """Names of the BatchNorms, training in some epoch, whose input for one image has one position."""
    seen: dict[str, int] = {}
    hooks = []
    for name, module in _trained(bound):

        def count(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            seen[name] = inputs[0].numel() // inputs[0].shape[1]

        hooks.append(module.register_forward_pre_hook(count))
    backbone, head = bound.backbone, bound.head
    modes = {module: module.training for part in (backbone, head) for module in part.modules()}
    try:
        backbone.eval()
        head.eval()
        with torch.no_grad():
            backbone(torch.zeros(1, 3, backbone.input.size, backbone.input.size, device=backbone.mean.device))
            head(torch.zeros(1, num_features, device=backbone.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return [name for name, values in seen.items() if values == 1]


def _trained(bound: BoundPlan) -> Iterator[tuple[str, nn.Module]]:
    backbone = bound.backbone
    names = [name for index in bound.ever_training() for name in backbone.stages[index].modules]
    if bound.plan.batchnorm != "eval":
        for stage in names:
            for name, module in backbone.model.get_submodule(stage).named_modules(prefix=stage):
                if isinstance(module, _BatchNorm):
                    yield name, module
    for name, module in bound.head.named_modules(prefix="head"):
        if isinstance(module, _BatchNorm):
            yield name, module

"""Find where a model, its modes or its optimizers differ from the freeze plan."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.freezing.bound_plan import BoundPlan


def requires_grad_problems(bound: BoundPlan, epoch: int) -> Iterator[str]:
    """Parameters whose `requires_grad` or gradient contradicts the plan for `epoch`."""
    trainable = bound.trainable(epoch)
    for name, tensor in bound.tensors().items():
        if not isinstance(tensor, nn.Parameter):
            continue
        if name in trainable and not tensor.requires_grad:
            yield f"{name} should train, but requires no gradient"
        elif name not in trainable and tensor.requires_grad:
            yield f"{name} is frozen, but requires a gradient"
        elif name not in trainable and tensor.grad is not None:
            yield f"{name} is frozen, but has a gradient"


def mode_problems(bound: BoundPlan, epoch: int) -> Iterator[str]:
    """Modules in train mode that should be in eval mode: of frozen stages, of a frozen head, fixed BatchNorms."""
    backbone = bound.backbone
    called = (name for i in bound.training_stages(epoch) for name in backbone.stages[i].modules)
    inside = {id(module) for name in called for module in backbone.model.get_submodule(name).modules()}
    for name, module in backbone.model.named_modules():
        kept = isinstance(module, _BatchNorm) and bound.plan.batchnorm == "eval"
        if name and module.training and (kept or id(module) not in inside):
            yield f"backbone.model.{name} is frozen, but in train mode"
    if not bound.plan.phase(epoch).head and any(module.training for module in bound.head.modules()):
        yield "head is frozen, but in train mode"


def optimizer_problems(bound: BoundPlan, optimizers: list[Any], *, may_hold_others: bool = False) -> Iterator[str]:
    """Parameters that the optimizers hold though they never train, lack though they train, or hold twice.

    Args:
        may_hold_others: Whether the optimizers may hold parameters that never train or that the plan does not know.
    """
    held = Counter(id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"])
    names = {id(tensor): name for name, tensor in bound.tensors().items()}
    trainable = {id(p): name for name, p in bound.ever_trainable().items()}
    for key, count in held.items():
        name = names.get(key, "an unknown parameter")
        if key not in trainable and not may_hold_others:
            yield f"{name} never trains, but the optimizer holds it"
        elif count > 1:
            yield f"{name} is in the optimizer {count} times"
    yield from (f"{name} trains, but no optimizer holds it" for key, name in trainable.items() if key not in held)

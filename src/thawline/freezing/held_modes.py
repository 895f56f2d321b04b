"""Keep frozen stages in eval mode, even after `train()` on the module that holds them."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.freezing.bound_plan import BoundPlan


class HeldModes:
    """Hooks that put frozen modules into eval mode right before they compute.

    A `Backbone` does not need them, but a timm model in any other module does. The hooks are on the modules that the
    stages call, so that they work for `backbone.forward_features(x)` as well as for `backbone(x)`.
    """

    def __init__(self, bound: BoundPlan) -> None:
        model, in_head = bound.backbone.model, set(bound.head.modules())
        inside = bound.head in set(model.modules())
        self._parts: dict[str, tuple[nn.Module, ...]] = {"head": tuple(bound.head.modules())}
        self._parts["backbone"] = (model,)  # the model's forward ends with pooling and dropout: part of the last stage
        # Name of a module that is called -> index of its stage, None for the head.
        self._stages: dict[str, int | None] = {"head": None, "backbone": None if inside else bound.plan.num_stages - 1}
        called = {"head": bound.head, "backbone": model}
        for index, stage in enumerate(bound.backbone.stages):
            for name in stage.modules:
                called[f"stage.{name}"] = model.get_submodule(name)
                self._stages[f"stage.{name}"] = index
        for name, module in called.items():
            if name not in self._parts:
                self._parts[name] = tuple(part for part in module.modules() if part not in in_head)
        self._training: frozenset[int | None] = frozenset()
        self._batchnorm_trains = True
        self.follow(bound, 0)
        self._handles = [module.register_forward_pre_hook(_Hold(self, name)) for name, module in called.items()]

    def follow(self, bound: BoundPlan, epoch: int) -> None:
        """Hold the stages that are frozen in `epoch`."""
        head: frozenset[int | None] = frozenset({None} if bound.plan.phase(epoch).head else set())
        self._training = bound.training_stages(epoch) | head
        self._batchnorm_trains = bound.plan.batchnorm == "train"

    def release(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def hold(self, name: str) -> None:
        """Put the frozen parts of a module into eval mode."""
        stage = self._stages[name]
        frozen, kept = stage not in self._training, stage is not None and not self._batchnorm_trains
        for part in self._parts[name]:
            if part.training and (frozen or (kept and isinstance(part, _BatchNorm))):
                part.training = False


class _Hold:
    """The hook as an object without a closure, so that a deep copy of the model has its own hooks."""

    def __init__(self, held: HeldModes, name: str) -> None:
        self.held, self.name = held, name

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.held.hold(self.name)

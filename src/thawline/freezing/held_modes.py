"""Frozen stages compute in eval mode, whoever calls `train()` on the module that holds them."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.freezing.bound_plan import BoundPlan


class HeldModes:
    """Hooks that put frozen modules into eval mode right before they compute.

    `Backbone.train` does so for itself; a timm model in somebody else's module needs it. The hooks are on the modules
    that the stages call, so that `backbone.forward_features(x)` is covered as well as `backbone(x)`.
    """

    def __init__(self, bound: BoundPlan) -> None:
        model, in_head = bound.backbone.model, set(bound.head.modules())
        inside = bound.head in set(model.modules())
        self._parts: dict[str, tuple[nn.Module, ...]] = {"head": tuple(bound.head.modules())}
        self._parts["backbone"] = (model,)  # what it does itself comes last: pooling and dropout
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
        """From now on hold what is frozen in `epoch`."""
        head: frozenset[int | None] = frozenset({None} if bound.plan.phase(epoch).head else set())
        self._training = bound.training_stages(epoch) | head
        self._batchnorm_trains = bound.plan.batchnorm == "train"

    def release(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def hold(self, name: str) -> None:
        """Eval mode for the parts of a module that are frozen."""
        stage = self._stages[name]
        frozen, kept = stage not in self._training, stage is not None and not self._batchnorm_trains
        for part in self._parts[name]:
            if part.training and (frozen or (kept and isinstance(part, _BatchNorm))):
                part.training = False


class _Hold:
    """A hook that a copy of the model takes along: it refers to what is copied with it, and to no frame."""

    def __init__(self, held: HeldModes, name: str) -> None:
        self.held, self.name = held, name

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.held.hold(self.name)

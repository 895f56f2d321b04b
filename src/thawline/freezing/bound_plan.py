"""A freeze plan bound to a model: the parameters that train in an epoch, and how to apply the plan."""

import copy
from collections.abc import Iterator

from torch import Tensor, nn

from thawline.errors import UserError
from thawline.freezing.plan import FreezePlan, make_plan
from thawline.models.adapted_names import ADAPTER, plain_name
from thawline.models.backbone import Backbone
from thawline.settings.strategy_settings import StrategySettings


class BoundPlan:
    """A plan with its backbone and head.

    Attributes:
        head_parameters: Parameters of the head that may train, by name. Those that required no gradient stay fixed.
    """

    def __init__(self, plan: FreezePlan, backbone: Backbone, head: nn.Module) -> None:
        assert plan.num_stages == backbone.num_stages, (plan.num_stages, backbone.num_stages)
        self.plan = plan
        self.backbone = backbone
        self.head = head
        self.head_parameters = {name: p for name, p in head.named_parameters() if p.requires_grad}
        self._in_head = {id(tensor) for tensor in (*head.parameters(), *head.buffers())}  # may be in the backbone too
        for phase in plan.phases:
            if not self.trainable(phase.from_epoch):
                named = ", ".join(plan.stage_list(phase)) or "no stage"
                raise UserError(
                    f"strategy: nothing trains from epoch {phase.from_epoch} on ({named}, "
                    f"parameters={plan.parameters}); name the head, or a stage that has such parameters"
                )

    def until(self, num_epochs: int) -> "BoundPlan":
        """The same plan without the phases that a run of `num_epochs` does not reach."""
        shorter = copy.copy(self)
        shorter.plan = self.plan.until(num_epochs)
        return shorter

    def stage_parameters(self, index: int) -> dict[str, nn.Parameter]:
        """Parameters of stage `index` that the plan's `parameters` allows to train, by name in the model."""
        parameters = self.backbone.stage_parameters(index)
        if self.plan.parameters == "all":
            return parameters
        names = set(_NAMES[self.plan.parameters](self.backbone.model))
        return {name: parameter for name, parameter in parameters.items() if name in names}

    def training_stages(self, epoch: int) -> frozenset[int]:
        """Stages of the epoch's phase with parameters to train."""
        return frozenset(index for index in self.plan.phase(epoch).stages if self.stage_parameters(index))

    def ever_training(self) -> frozenset[int]:
        return frozenset(index for index in self.plan.ever_training() if self.stage_parameters(index))

    @property
    def first_training(self) -> int:
        """The first stage that ever trains; those before it stay frozen throughout. Their number if none trains."""
        return min(self.ever_training(), default=self.plan.num_stages)

    def trainable(self, epoch: int) -> dict[str, nn.Parameter]:
        """Parameters that train in `epoch`, by qualified name: `backbone.model...` and `head...`."""
        return self._named(self.training_stages(epoch), head=self.plan.phase(epoch).head)

    def ever_trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that train in at least one epoch; the optimizer holds these."""
        return self._named(self.ever_training(), head=True)

    def _named(self, stages: frozenset[int], *, head: bool) -> dict[str, nn.Parameter]:
        inside = (item for index in sorted(stages) for item in self.stage_parameters(index).items())
        named = {f"backbone.model.{plain_name(name)}": parameter for name, parameter in inside}
        return named | {f"head.{name}": p for name, p in self.head_parameters.items()} if head else named

    def require_all_gradients(self) -> None:
        """Turn gradients on for exactly the parameters that train in at least one epoch.

        An optimizer made now, over the parameters that require a gradient, holds the stages that thaw later too.
        """
        ever = {id(p) for p in self.ever_trainable().values()}
        for parameter in (*self.backbone.parameters(), *self.head.parameters()):
            parameter.requires_grad = id(parameter) in ever

    def apply(self, epoch: int) -> None:
        """Turn gradients and train mode on for exactly the epoch's parameters and stages.

        Gradients of frozen parameters become None, because weight decay and momentum move a parameter whose gradient is
        zero. A parameter that no stage reads never trains.
        """
        trainable = {id(p) for p in self.trainable(epoch).values()}
        for parameter in (*self.backbone.parameters(), *self.head.parameters()):
            parameter.requires_grad = id(parameter) in trainable
            if not parameter.requires_grad:
                parameter.grad = None
        self.backbone.training_stages = self.training_stages(epoch)
        self.backbone.batchnorm_trains = self.plan.batchnorm == "train"
        self.backbone.train(self.backbone.training)
        self.head.train(self.backbone.training and self.plan.phase(epoch).head)

    def frozen_tensors(self, epoch: int) -> dict[str, Tensor]:
        """Tensors that must not change in `epoch`: parameters that do not train, and buffers of frozen stages.

        With `batchnorm: eval` also the BatchNorm statistics of training stages.
        """
        backbone, moving = self.backbone, set(self.trainable(epoch))
        if self.plan.phase(epoch).head:
            moving |= {f"head.{name}" for name, _ in self.head.named_buffers()}
        if self.plan.batchnorm == "train":
            inside = tuple(
                f"backbone.model.{name}." for i in self.training_stages(epoch) for name in backbone.stages[i].modules
            )
            moving |= {name for name in self._buffers() if name.startswith(inside)}
        return {name: tensor for name, tensor in self.tensors().items() if name not in moving}

    def never_training(self) -> set[str]:
        """Names of the tensors that no phase changes."""
        frozen = [set(self.frozen_tensors(phase.from_epoch)) for phase in self.plan.phases]
        return set.intersection(*frozen)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of backbone and head, by qualified name; where adapters lie beside a layer, its
        weights keep the names that they have without."""
        named = self.backbone.named_parameters()
        parameters = {f"backbone.{plain_name(name)}": p for name, p in named if id(p) not in self._in_head}
        head = (*self.head.named_parameters(), *self.head.named_buffers())
        return {**parameters, **self._buffers(), **{f"head.{name}": tensor for name, tensor in head}}

    def _buffers(self) -> dict[str, Tensor]:
        named = self.backbone.named_buffers()
        return {f"backbone.{plain_name(name)}": buffer for name, buffer in named if id(buffer) not in self._in_head}

    def stage_of(self) -> dict[str, str]:
        """Tensor name -> name of its stage, `ADAPTERS`, `head`, or `OUTSIDE`."""
        names, owner = list(self.tensors()), {}
        for stage in self.backbone.stages:
            inside = tuple(f"{name}." for name in stage.modules)
            for name in names:
                short = name.removeprefix("backbone.model.")
                if name.startswith("backbone.") and (short in stage.parameters or short.startswith(inside)):
                    owner[name] = ADAPTERS if ADAPTER in name else stage.name
        return {name: owner.get(name, "head" if name.startswith("head.") else OUTSIDE) for name in names}


def bind(strategy: StrategySettings, backbone: Backbone, head: nn.Module) -> BoundPlan:
    """The plan of the strategy, for this backbone and head."""
    names = [stage.name for stage in backbone.stages]
    return BoundPlan(make_plan(strategy, stage_names=names, model_name=backbone.name), backbone, head)


def refuse_without_adapters(bound: BoundPlan) -> None:
    """Raise `UserError` if adapters are to train, and no stage that trains has one."""
    if bound.plan.parameters == "lora" and not bound.ever_training():
        raise UserError(
            "strategy.parameters=lora: no stage that trains holds an adapter; put some in before, with "
            "thawline.models.adapters.add_adapters or peft.inject_adapter_in_model"
        )


ADAPTERS = "adapters"  # of all stages
OUTSIDE = "outside the stages"  # parameters that no stage reads, and buffers of no stage


def _norm_names(model: nn.Module) -> Iterator[str]:
    """Affine parameters of normalisation layers. In timm and torch all their class names contain Norm."""
    for prefix, module in model.named_modules():
        if "Norm" in type(module).__name__:
            yield from (f"{prefix}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=False))


def _bias_names(model: nn.Module) -> Iterator[str]:
    """Bias terms: `bias`, and `q_bias`, `v_bias` of some attention layers (Ben Zaken et al. 2022, "BitFit")."""
    return (name for name, _ in model.named_parameters() if name.endswith("bias"))


def _adapter_names(model: nn.Module) -> Iterator[str]:
    return (name for name, _ in model.named_parameters() if ADAPTER in name)


_NAMES = {"norm": _norm_names, "bias": _bias_names, "lora": _adapter_names}  # of `FreezePlan.parameters`

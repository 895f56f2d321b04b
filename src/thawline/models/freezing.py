"""Which stages train, when; applied to the model, shown as a table, and verified bit by bit."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.models.weights import checksum

Depth = int | str  # a number of final stages, or "all"


@dataclass(frozen=True)
class FreezePlan:
    """A pure function from the epoch to the stages that train; a resumed run needs no other memory.

    Attributes:
        num_stages: Number of stages of the backbone.
        unfreeze_depth: Number of final stages that train; 0 trains the head only.
    """

    num_stages: int
    unfreeze_depth: int

    def training_stages(self, epoch: int) -> frozenset[int]:
        """Indices of the stages that train in `epoch` (>= 0). The depth of this plan is the same in every epoch."""
        assert epoch >= 0, epoch
        return frozenset(range(self.num_stages - self.unfreeze_depth, self.num_stages))

    def ever_training(self) -> frozenset[int]:
        """Indices of the stages that train in at least one epoch."""
        return self.training_stages(0)


def make_plan(depth: Depth, *, num_stages: int, model_name: str) -> FreezePlan:
    """Build the plan for `strategy.unfreeze_depth`.

    Raises:
        UserError: `depth` is not `all` or a whole number from 0 to the number of stages.
    """
    if depth == "all":
        return FreezePlan(num_stages=num_stages, unfreeze_depth=num_stages)
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= num_stages:
        raise UserError(
            f"strategy.unfreeze_depth={depth}: {model_name} has {num_stages} stages; "
            f"allowed are 0 (head only) to {num_stages}, or all"
        )
    return FreezePlan(num_stages=num_stages, unfreeze_depth=depth)


def apply(backbone: Backbone, training: frozenset[int]) -> None:
    """Make exactly the stages in `training` train: gradients and train mode on, off and absent everywhere else.

    A parameter that no stage reads never trains. Gradients of frozen parameters become None, not zero: weight decay
    and momentum would move a parameter whose gradient is zero.
    """
    trainable = {id(p) for index in training for p in backbone.stage_parameters(index).values()}
    for parameter in backbone.parameters():
        parameter.requires_grad = id(parameter) in trainable
        if not parameter.requires_grad:
            parameter.grad = None
    backbone.training_stages = training
    backbone.train(backbone.training)


@dataclass(frozen=True)
class StageStatus:
    """One row of the model status: a stage or the head, with counts of parameters."""

    name: str
    num_params: int
    num_trainable: int
    mode: str  # "train" or "frozen"


def status(backbone: Backbone, head: nn.Module) -> list[StageStatus]:
    """One row per stage from the images up, then `unused` for parameters that no stage reads, then the head."""
    rows = []
    for index, stage in enumerate(backbone.stages):
        mode = "train" if index in backbone.training_stages else "frozen"
        rows.append(_row(stage.name, backbone.stage_parameters(index).values(), mode))
    in_stages = {name for stage in backbone.stages for name in stage.parameters}
    unused = [p for name, p in backbone.model.named_parameters() if name not in in_stages]
    if unused:
        rows.append(_row("unused", unused, "frozen"))
    return [*rows, _row("head", head.parameters(), "train")]


def _row(name: str, parameters: Iterable[nn.Parameter], mode: str) -> StageStatus:
    parameters = list(parameters)
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return StageStatus(name, sum(p.numel() for p in parameters), trainable, mode)


def trainable_line(rows: list[StageStatus]) -> str:
    """The diagnostic line, such as `Trainable: 5,130 / 11,181,642 (0.05%)`."""
    trainable, total = sum(r.num_trainable for r in rows), sum(r.num_params for r in rows)
    return f"Trainable: {trainable:,} / {total:,} ({trainable / total:.2%})"


OUTSIDE = "outside the stages"  # parameters that no stage reads, and buffers of no stage; they never train


def stage_checksums(backbone: Backbone) -> dict[str, str]:
    """SHA-256 of the parameters and all buffers (BatchNorm statistics and counters too) of every stage, by its name.

    What belongs to no stage has a checksum of its own, under `OUTSIDE`.
    """
    left = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    sums = {}
    for stage in backbone.stages:
        inside = tuple(f"model.{name}." for name in stage.modules)
        names = [k for k in left if k.removeprefix("model.") in stage.parameters or k.startswith(inside)]
        sums[stage.name] = checksum({name: left.pop(name) for name in names})
    return {**sums, OUTSIDE: checksum(left)}


def changed(before: dict[str, str], after: dict[str, str], *, backbone: Backbone, trained: Iterable[int]) -> list[str]:
    """Names of what never trains and yet differs; empty where frozen meant frozen."""
    may_change = {backbone.stages[index].name for index in trained}
    return [name for name in before if name not in may_change and before[name] != after[name]]

"""FreezePlan: which stages train in which epoch. It depends on the epoch only, so a resumed run needs no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from thawline.errors import UserError
from thawline.settings.strategy_settings import StrategySettings

_PHASE_KEYS = ("from_epoch", "stages", "lr", "backbone_lr")
HEAD = "head"


@dataclass(frozen=True)
class Phase:
    """The stages that train from an epoch on.

    Attributes:
        from_epoch: First epoch of the phase, counted from 0.
        stages: Indices of the stages that train.
        head: Whether the head trains.
        lr, backbone_lr: Learning rates of the head and of the last stage in this phase; None keeps the optimizer's.
    """

    from_epoch: int
    stages: frozenset[int]
    head: bool = True
    lr: float | None = None
    backbone_lr: float | None = None


@dataclass(frozen=True)
class FreezePlan:
    """Phases in the order of their epochs; the first starts at epoch 0.

    Attributes:
        stage_names: Names of the backbone's stages, from the images up.
        parameters: Which parameters of a training stage train: `all`, `norm` (affine), `bias`, or `lora` (adapters).
        batchnorm: Whether BatchNorm in training stages updates its statistics (`train`) or keeps them (`eval`).
    """

    stage_names: tuple[str, ...]
    phases: tuple[Phase, ...]
    parameters: str = "all"
    batchnorm: str = "train"

    @property
    def num_stages(self) -> int:
        return len(self.stage_names)

    def phase(self, epoch: int) -> Phase:
        """The phase that `epoch` (>= 0) belongs to."""
        assert epoch >= 0, epoch
        return [phase for phase in self.phases if phase.from_epoch <= epoch][-1]

    @property
    def changes(self) -> tuple[int, ...]:
        """Epochs after the first in which a phase starts."""
        return tuple(phase.from_epoch for phase in self.phases[1:])

    def ever_training(self) -> frozenset[int]:
        """Indices of the stages that train in at least one epoch."""
        return frozenset().union(*(phase.stages for phase in self.phases))

    def until(self, num_epochs: int) -> "FreezePlan":
        """The plan without the phases that a run of `num_epochs` never reaches."""
        reached = tuple(phase for phase in self.phases if phase.from_epoch < num_epochs)
        return FreezePlan(self.stage_names, reached, self.parameters, self.batchnorm)

    def stage_list(self, phase: Phase) -> list[str]:
        """Names of the parts that train in `phase`: the head first, then the stages from the top."""
        names = [self.stage_names[index] for index in sorted(phase.stages, reverse=True)]
        return [HEAD, *names] if phase.head else names

    def as_list(self) -> list[dict[str, Any]]:
        """The plan in the form that `strategy.phases` takes."""
        return [{"from_epoch": phase.from_epoch, "stages": self.stage_list(phase)} for phase in self.phases]


def make_plan(strategy: StrategySettings, *, stage_names: Sequence[str], model_name: str) -> FreezePlan:
    """Build the plan of the strategy.

    `strategy.phases` gives the plan directly. Without it, the target is `strategy.stages` or the final
    `strategy.unfreeze_depth` stages. It thaws at epoch `thaw_after`, all at once, or with `thaw_every` = n one stage
    every n epochs from the top (Howard and Ruder 2018, "ULMFiT"). Before that the head trains alone.

    Raises:
        UserError: `model_name` has no such depth or stage, or the settings do not make a plan.
    """
    names = tuple(stage_names)
    if strategy.phases is not None:
        _refuse_beside("phases", strategy, {"unfreeze_depth": None, "stages": None, "thaw_after": 0, "thaw_every": 0})
        phases = _listed_phases(strategy.phases, names, model_name)
    else:
        phases = _thawing_phases(_target(strategy, names, model_name), strategy)
    return FreezePlan(names, phases, strategy.parameters, strategy.batchnorm)


def _target(strategy: StrategySettings, names: tuple[str, ...], model_name: str) -> list[int]:
    """The stages that train in the end, from the top."""
    if strategy.stages is not None:
        _refuse_beside("stages", strategy, {"unfreeze_depth": None})
        stages, _ = resolve_stages(strategy.stages, names, key="strategy.stages", model_name=model_name)
        if not stages:
            raise UserError("strategy.stages names no stage; for the head only, use strategy.unfreeze_depth=0")
        return sorted(stages, reverse=True)
    depth = len(names) if strategy.unfreeze_depth == "all" else strategy.unfreeze_depth
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= len(names):
        raise UserError(
            f"strategy.unfreeze_depth={depth}: {model_name} has {len(names)} stages; "
            f"allowed are 0 (head only) to {len(names)}, or all"
        )
    return list(reversed(range(len(names) - depth, len(names))))


def _thawing_phases(target: list[int], strategy: StrategySettings) -> tuple[Phase, ...]:
    start, every, lr = strategy.thaw_after, strategy.thaw_every, strategy.thaw_lr
    if every:
        steps = [(start + k * every, target[: k + 1]) for k in range(len(target))]
    else:
        steps = [(start, target)] if target else []
    phases = [Phase(epoch, frozenset(stages), lr=lr if start else None) for epoch, stages in steps]
    head_alone = [] if phases and start == 0 else [Phase(0, frozenset())]
    return tuple(head_alone + phases)


def _listed_phases(listed: Any, names: tuple[str, ...], model_name: str) -> tuple[Phase, ...]:
    example = "write [{from_epoch: 0, stages: [head]}, {from_epoch: 3, stages: [head, -1, -2]}]"
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise UserError(f"strategy.phases={listed}: not a list of phases; {example}")
    phases = []
    for number, entry in enumerate(listed):
        key = f"strategy.phases[{number}]"
        if unknown := sorted(set(entry) - set(_PHASE_KEYS)):
            raise UserError(f"{key}.{unknown[0]}: no such key; allowed are {', '.join(_PHASE_KEYS)}")
        if "from_epoch" not in entry or "stages" not in entry:
            raise UserError(f"{key}={entry}: from_epoch and stages are needed; {example}")
        stages, head = resolve_stages(entry["stages"], names, key=f"{key}.stages", model_name=model_name)
        rates = {name: _rate(entry.get(name), f"{key}.{name}") for name in ("lr", "backbone_lr")}
        phases.append(Phase(entry["from_epoch"], stages, head, **rates))
    epochs = [phase.from_epoch for phase in phases]
    whole = all(isinstance(epoch, int) and not isinstance(epoch, bool) for epoch in epochs)
    if not whole or epochs[0] != 0 or any(a >= b for a, b in pairwise(epochs)):
        raise UserError(f"strategy.phases: from_epoch runs {epochs}; it starts at 0 and rises, in whole numbers")
    if not phases[0].head:
        raise UserError("strategy.phases[0].stages lacks head; a new head that does not train first tells nothing")
    return tuple(phases)


def resolve_stages(
    setting: Any, names: Sequence[str], *, key: str, model_name: str, with_head: bool = True
) -> tuple[frozenset[int], bool]:
    """Read a list of stage numbers and names: (stage indices, whether the head is in the list).

    Negative numbers count from the top; `all` is every stage.

    Args:
        with_head: Whether the head may be in the list.
    Raises:
        UserError: There is no such stage; the message names `key`.
    """
    entries = [setting] if isinstance(setting, str) else setting
    if not isinstance(entries, list):
        raise UserError(f"{key}={setting}: not a list; write for instance [{'head, ' if with_head else ''}-1, -2]")
    stages: set[int] = set()
    for entry in entries:
        if entry == "all":
            stages |= set(range(len(names)))
        elif entry in names:
            stages.add(list(names).index(entry))
        elif isinstance(entry, int) and not isinstance(entry, bool) and -len(names) <= entry < len(names):
            stages.add(entry % len(names))
        elif entry != HEAD or not with_head:
            raise UserError(
                f"{key}={entry}: {model_name} has no such stage; allowed are "
                f"{'head, ' if with_head else ''}all, {', '.join(names)}, "
                f"or a number from {-len(names)} to {len(names) - 1}"
            )
    return frozenset(stages), HEAD in entries


def _rate(value: Any, key: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 10:
        raise UserError(f"{key}={value}: allowed are 0 to 10")
    return float(value)


def _refuse_beside(ruling: str, strategy: StrategySettings, defaults: dict[str, Any]) -> None:
    """Refuse the settings in `defaults` that differ from their default, because `ruling` makes them ineffective."""
    changed = {key: value for key, value in defaults.items() if getattr(strategy, key) != value}
    if changed:
        named = ", ".join(f"strategy.{key}={getattr(strategy, key)}" for key in changed)
        undone = " ".join(f"strategy.{key}={'null' if value is None else value}" for key, value in changed.items())
        verb = "have" if len(changed) > 1 else "has"
        raise UserError(f"{named}: {verb} no effect beside strategy.{ruling}; set {undone}, or strategy.{ruling}=null")

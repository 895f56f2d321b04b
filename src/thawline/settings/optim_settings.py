"""Section `optim`: the optimizer and its schedule."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between, one_of

OPTIMIZERS = ("adamw", "sgd", "lbfgs", "ridge")
SOLVERS = ("lbfgs", "ridge")  # of a head on stored features; without a rate and a schedule
AUTO_DECAY = "auto"
SCHEDULES = ("cosine", "constant", "one_cycle", "plateau")


@dataclass
class OptimSettings:
    """Optimizer and schedule. `backbone_lr` None means `lr`; stage i of S gets backbone_lr * layer_decay^(S-1-i)."""

    name: str = "adamw"
    lr: float = 1e-3
    backbone_lr: float | None = None
    layer_decay: Any = AUTO_DECAY  # a number from 0 to 1, or auto: `training/stage_rates.py` says which
    weight_decay: float = 0.05
    momentum: float = 0.9  # sgd only
    schedule: str = "cosine"
    warmup_fraction: float = 0.1  # of the steps; all schedules but plateau
    restart_at_thaw: bool = False  # begin the schedule anew, warm-up included, at every change of the freeze plan
    plateau_factor: float = 0.1  # plateau only
    plateau_patience: int = 3  # plateau only: epochs without a lower val/loss
    penalties: list[float] | None = None  # lbfgs only: one epoch each

    def __post_init__(self) -> None:
        one_of("optim.name", self.name, OPTIMIZERS)
        one_of("optim.schedule", self.schedule, SCHEDULES)
        between("optim.lr", self.lr, 0.0, 10.0)
        between("optim.backbone_lr", self.resolved_backbone_lr, 0.0, 10.0)
        self._check_layer_decay()
        between("optim.weight_decay", self.weight_decay, 0.0, 10.0)
        between("optim.momentum", self.momentum, 0.0, 1.0)
        between("optim.warmup_fraction", self.warmup_fraction, 0.0, 1.0)
        between("optim.plateau_factor", self.plateau_factor, 0.0, 0.99)
        between("optim.plateau_patience", self.plateau_patience, 0, 1_000_000)
        self._check_penalties()

    def _check_layer_decay(self) -> None:
        given = self.layer_decay
        if given == AUTO_DECAY:
            return
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise UserError(f"optim.layer_decay={given}: allowed are auto, or a number from 0 to 1")
        between("optim.layer_decay", given, 0.0, 1.0)

    def _check_penalties(self) -> None:
        given = self.penalties
        if self.name != "lbfgs":
            if given is not None:
                raise UserError(f"optim.penalties={given}: has no effect beside {self.name}; use optim=lbfgs")
            return
        if given is None:
            raise UserError("optim.name=lbfgs: needs optim.penalties; use optim=lbfgs, which brings them")
        if not given or not all(p > 0 and math.isfinite(p) for p in given) or any(a <= b for a, b in pairwise(given)):
            raise UserError(
                f"optim.penalties={given}: a falling list of finite numbers above 0, such as [1, 0.1, 0.01]"
            )

    @property
    def epochs(self) -> int | None:
        """Where the optimizer, and not `trainer.max_epochs`, says how many."""
        if self.name == "ridge":
            return 1
        return None if self.penalties is None else len(self.penalties)

    @property
    def solves(self) -> bool:
        """Whether the head is solved for on stored features, and not trained by gradients."""
        return self.name in SOLVERS

    @property
    def resolved_backbone_lr(self) -> float:
        return self.lr if self.backbone_lr is None else self.backbone_lr

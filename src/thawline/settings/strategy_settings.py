"""Section `strategy`: which stages train, and when."""

from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between, one_of

PARAMETERS = ("all", "norm", "bias")
BATCHNORM = ("train", "eval")


@dataclass
class StrategySettings:
    """Which stages train, and when; `freezing/plan.py` makes a plan of it."""

    name: str
    unfreeze_depth: int | str | None = None  # final stages that train in the end: 0 is the head only, or `all`
    stages: Any = None  # instead of the final ones: a list of numbers and names
    thaw_after: int = 0  # epochs of the head alone
    thaw_every: int = 0  # epochs from one stage's thaw to the next; 0 thaws all at once
    thaw_lr: float | None = None  # the head's rate from the thaw on
    phases: Any = None  # instead of all of these: [{from_epoch: 0, stages: [head]}, ...]
    parameters: str = "all"
    batchnorm: str = "train"
    feature_stages: Any = None  # stages whose pooled features the head reads, or `all`; None: what the last one gives
    feature_grid: int = 2
    adamw: Any = None  # the rates that conf/optim/adamw.yaml takes
    guard: bool = True
    pretrained: bool = True  # False starts from random weights whatever model.weights says

    def __post_init__(self) -> None:
        one_of("strategy.parameters", self.parameters, PARAMETERS)
        one_of("strategy.batchnorm", self.batchnorm, BATCHNORM)
        between("strategy.thaw_after", self.thaw_after, 0, 1_000_000)
        between("strategy.thaw_every", self.thaw_every, 0, 1_000_000)
        if self.thaw_lr is not None:
            between("strategy.thaw_lr", self.thaw_lr, 0.0, 10.0)
            if self.thaw_after == 0:
                raise UserError(f"strategy.thaw_lr={self.thaw_lr}: needs a thaw; set strategy.thaw_after=EPOCHS")
        between("strategy.feature_grid", self.feature_grid, 1, 64)

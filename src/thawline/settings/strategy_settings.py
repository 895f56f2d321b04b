"""Section `strategy`: which stages train, and when."""

from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between, one_of
from thawline.settings.lora_settings import LoraSettings

PARAMETERS = ("all", "norm", "bias", "lora")
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
    lora: LoraSettings | None = None  # adapters, put into the training stages, which alone train there
    batchnorm: str = "train"
    feature_stages: Any = None  # stages whose pooled features the head reads, or `all`; None: what the last one gives
    feature_grid: Any = 2  # cells along each side of the image over which they are averaged; or a list of such numbers
    stack_share: float = 0.0  # of a stacked probe of the pretrained stages in the average with what was trained
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
        between("strategy.stack_share", self.stack_share, 0.0, 0.99)
        self._check_grids()

    def _check_grids(self) -> None:
        given = self.feature_grid
        listed = given if isinstance(given, list | tuple) else [given]
        if not listed or any(isinstance(grid, bool) or not isinstance(grid, int) for grid in listed):
            raise UserError(f"strategy.feature_grid={given}: a number from 1 to 64, or a list of such numbers")
        for grid in listed:
            between("strategy.feature_grid", grid, 1, 64)

    @property
    def feature_grids(self) -> tuple[int, ...]:
        given = self.feature_grid if isinstance(self.feature_grid, list | tuple) else [self.feature_grid]
        return tuple(sorted(set(given)))

"""Settings of a sweep, checked."""

from dataclasses import dataclass, field
from typing import Any

from thawline.errors import UserError


@dataclass
class SweepSettings:
    """What a job knows of the sweep that it belongs to."""

    resume: bool = False
    depths: list[Any] = field(default_factory=list)  # values of strategy.unfreeze_depth over its jobs

    def __post_init__(self) -> None:
        for depth in self.depths:
            if depth != "all" and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
                raise UserError(f"sweep.depths={self.depths}: allowed are numbers from 0 and all")

"""Settings of a sweep, checked."""

from dataclasses import dataclass, field
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between

_TIMEOUTS = (0.01, 100_000.0)  # minutes


@dataclass
class SweepSettings:
    """What a job knows of the sweep that it belongs to."""

    resume: bool = False
    timeout: float | None = None  # minutes without a sign of life, after which a job is ended; None for never
    depths: list[Any] = field(default_factory=list)  # values of strategy.unfreeze_depth over its jobs

    def __post_init__(self) -> None:
        if self.timeout is not None:
            between("sweep.timeout", self.timeout, *_TIMEOUTS)
        for depth in self.depths:
            if depth != "all" and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
                raise UserError(f"sweep.depths={self.depths}: allowed are numbers from 0 and all")

    @property
    def timeout_s(self) -> float | None:
        """In seconds."""
        return None if self.timeout is None else 60 * self.timeout

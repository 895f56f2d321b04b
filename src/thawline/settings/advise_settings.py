"""Settings of the advisor, checked."""

import math
from dataclasses import dataclass

from thawline.errors import UserError


@dataclass
class BudgetSettings:
    """Bounds on what may be recommended; None is no bound."""

    minutes: float | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for key in ("minutes", "memory_gb"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise UserError(f"budget.{key}={value}: a number above 0, or null for no bound")

    def __str__(self) -> str:
        """The bounds that are given, as they are typed."""
        bounds = {"budget.minutes": self.minutes, "budget.memory_gb": self.memory_gb}
        return " and ".join(f"{key}={bound:g}" for key, bound in bounds.items() if bound is not None)


@dataclass
class AdviseSettings:
    """How much is looked at."""

    max_images: int = 1000
    pilot_seconds: float = 30.0  # chosen: half of the minute that advice may take

    def __post_init__(self) -> None:
        if not 0 <= self.pilot_seconds < math.inf:
            raise UserError(
                f"advise.pilot_seconds={self.pilot_seconds}: allowed are finite numbers from 0 on; 0 makes no pilot"
            )
        if not 10 <= self.max_images <= 100_000:
            raise UserError(f"advise.max_images={self.max_images}: allowed are 10 to 100000")

"""Section `cost`: what the machine costs."""

from dataclasses import dataclass

from thawline.errors import UserError


@dataclass
class CostSettings:
    """What a machine costs."""

    per_hour: float | None = None  # in any currency; None tells no price

    def __post_init__(self) -> None:
        if self.per_hour is not None and not self.per_hour >= 0:
            raise UserError(f"cost.per_hour={self.per_hour}: a number from 0, or null to tell no price")

"""Settings of the advisor, checked."""

from dataclasses import dataclass

from thawline.errors import UserError


@dataclass
class BudgetSettings:
    """Bounds on what may be recommended or, with scenario=auto, tried; None is no bound.

    Attributes:
        minutes: Of the whole run on this machine.
        latency_ms: Milliseconds for one image on this machine; auto leaves out what takes longer.
        size_mb: Of the weights of backbones; auto leaves out what is larger.
        min_gain: Points of accuracy; auto tries nothing that is expected to gain less.
    """

    minutes: float | None = 2.0
    memory_gb: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    min_gain: float = 0.3

    def __post_init__(self) -> None:
        for key in ("minutes", "memory_gb", "latency_ms", "size_mb"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                raise UserError(f"budget.{key}={value}: a number above 0, or null for no bound")

        if not 0 <= self.min_gain <= 100:
            raise UserError(f"budget.min_gain={self.min_gain}: allowed are 0 to 100, in points of accuracy")

    @property
    def bounds_models(self) -> bool:
        """Whether some models are too slow or too large."""
        return self.latency_ms is not None or self.size_mb is not None

    def __str__(self) -> str:
        """The bounds that are given, as they are typed."""
        bounds = {"budget.minutes": self.minutes, "budget.memory_gb": self.memory_gb}
        return " and ".join(f"{key}={bound:g}" for key, bound in bounds.items() if bound is not None)


@dataclass
class AdviseSettings:
    """How much is looked at."""

    max_images: int = 1000

    def __post_init__(self) -> None:
        if not 10 <= self.max_images <= 100_000:
            raise UserError(f"advise.max_images={self.max_images}: allowed are 10 to 100000")

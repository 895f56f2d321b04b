"""The number formats of the frozen prefix and of the training part."""

from dataclasses import dataclass, replace

import torch

_TYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Precision:
    """`trainer`: Lightning's name for the training part's. `stages`: that of the frozen prefix; None is the same."""

    trainer: str
    stages: str | None = None

    @property
    def of_stages(self) -> str:
        """Name of the frozen prefix's."""
        return self.stages or self.trainer

    @property
    def training(self) -> torch.dtype:
        """Type of the training part's arithmetic."""
        return _TYPES[self.trainer]

    @property
    def prefix(self) -> torch.dtype:
        """Type of the frozen stages' arithmetic."""
        return _TYPES[self.of_stages]

    @property
    def scales_loss(self) -> bool:
        """Whether Lightning multiplies the loss, so that small gradients do not become 0 in fp16."""
        return self.trainer == "16-mixed"

    def without_scaler(self) -> "Precision":
        """For a solver: it has no gradients to scale, and the head that it solves for is fp32 in every precision."""
        return replace(self, trainer="32-true", stages=self.trainer) if self.scales_loss else self


def precision_name(dtype: str) -> str:
    """Name of the precision whose frozen stages compute in `dtype`, such as `bfloat16`."""
    return next(name for name, kind in _TYPES.items() if str(kind) == f"torch.{dtype}")


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Compute in `dtype` inside the block; for fp32 autocast is off, even inside another autocast block."""
    low = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if low else torch.bfloat16, enabled=low)

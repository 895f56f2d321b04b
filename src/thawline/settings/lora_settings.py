"""Section `strategy.lora`: low-rank adapters beside linear layers of the backbone."""

from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between

AUTO_MODULES = "auto"


@dataclass
class LoraSettings:
    """An adapter adds `alpha / rank * B A x` to what its layer answers; A has `rank` rows, B starts at zero.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0  # probability of dropping a value that goes into A
    modules: Any = AUTO_MODULES  # names of linear layers, or endings of names; auto: see models/adapted_layers.py

    def __post_init__(self) -> None:
        between("strategy.lora.rank", self.rank, 1, 4096)
        between("strategy.lora.alpha", self.alpha, 0.001, 65536.0)
        between("strategy.lora.dropout", self.dropout, 0.0, 0.9)
        listed = isinstance(self.modules, list | tuple) and self.modules
        if self.modules != AUTO_MODULES and not (
            listed and all(isinstance(name, str) and name for name in self.modules)
        ):
            raise UserError(
                f"strategy.lora.modules={self.modules}: write auto, or a list of names of layers such as [qkv,proj]"
            )

    @property
    def scaling(self) -> float:
        """Factor of B A."""
        return self.alpha / self.rank

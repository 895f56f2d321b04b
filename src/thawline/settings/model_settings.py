"""Section `model`: the backbone, its weights, its head."""

from dataclasses import dataclass
from typing import Any

from thawline.settings.checks import between

IMAGE_SIZES = (8, 4096)  # pixels of a side, from and to


@dataclass
class ModelSettings:
    """The backbone by its timm name, where its weights come from, and the head's `_target_` config."""

    name: str
    weights: str
    head: dict[str, Any]
    image_size: int | None = None

    def __post_init__(self) -> None:
        between("model.image_size", 32 if self.image_size is None else self.image_size, *IMAGE_SIZES)

"""Section `model`: the backbone, its weights, its head; the backbones and image sizes that scenario=auto compares."""

from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between

IMAGE_SIZES = (8, 4096)  # pixels of a side, from and to


@dataclass
class ModelSettings:
    """The backbone by its timm name, where its weights come from, and the head's `_target_` config.

    Attributes:
        candidates: Names of models to compare, of timm or of conf/model; None is the one that `name` names.
        candidate_sizes: Image sizes to compare, in pixels; `auto`: the model's, and a smaller or larger one where the
            images are small or large; None: the model's.
    """

    name: str
    weights: str
    head: dict[str, Any]
    image_size: int | None = None
    candidates: list[str] | None = None
    candidate_sizes: Any = "auto"

    def __post_init__(self) -> None:
        between("model.image_size", 32 if self.image_size is None else self.image_size, *IMAGE_SIZES)
        names = self.candidates
        if names is not None and (not names or len(set(names)) < len(names)):
            raise UserError(
                f"model.candidates=[{','.join(names)}]: name one model at least, and each once; or null for model.name"
            )
        sizes = self.candidate_sizes
        if sizes not in ("auto", None) and not _are_sizes(sizes):
            raise UserError(
                f"model.candidate_sizes={sizes}: allowed are auto, null, or a list of different pixels, "
                f"each {IMAGE_SIZES[0]} to {IMAGE_SIZES[1]}, such as [96,224]"
            )
        if self.image_size is not None and isinstance(sizes, list):
            raise UserError(
                f"model.image_size={self.image_size}: has no effect beside model.candidate_sizes={sizes}; give one"
            )

    @property
    def compares(self) -> str | None:
        """The setting that asks for a comparison, as it is typed; None where none does."""
        if self.candidates is not None:
            return f"model.candidates=[{','.join(self.candidates)}]"
        return f"model.candidate_sizes={self.candidate_sizes}" if isinstance(self.candidate_sizes, list) else None


def _are_sizes(sizes: Any) -> bool:
    whole = isinstance(sizes, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)
    smallest, largest = IMAGE_SIZES
    return whole and bool(sizes) and len(set(sizes)) == len(sizes) and smallest <= min(sizes) <= max(sizes) <= largest

"""What the rungs of scenario=auto share: the images, and backbones as they were before any training."""

import copy
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor

from thawline.data.sources.source import ImageSource
from thawline.models.backbone import Backbone, build_backbone
from thawline.runs.make import make
from thawline.settings.model_settings import ModelSettings


@dataclass(frozen=True)
class _Built:
    """A backbone, and the state of torch's generator after it was built, the only one that building draws from."""

    backbone: Backbone
    state: Tensor


class Shared:
    """Makes each thing once, and hands it on.

    Args:
        keeps: Whether anything is kept. A run that is alone has no use for a second copy of its weights.
    """

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self._sources: list[tuple[Any, ImageSource]] = []
        self._built: dict[tuple[Any, ...], _Built] = {}

    def source(self, node: dict[str, Any]) -> ImageSource:
        """The data source that the node `data.source` names."""
        for known, kept in self._sources:
            if known == node:
                return kept
        source: ImageSource = make(node, "data.source")
        if self._keeps:
            self._sources.append((node, source))
        return source

    def backbone(self, model: ModelSettings, *, weights: str, seed: int) -> Backbone:
        """A backbone that the caller may train. Afterwards all generators are as if it was built right now.

        Raises:
            UserError: It cannot be built.
        """
        key = (model.name, weights, model.image_size, seed)
        if (built := self._built.get(key)) is None:
            L.seed_everything(seed, workers=True, verbose=False)
            backbone = build_backbone(model.name, weights=weights, image_size=model.image_size)
            if not self._keeps:
                return backbone
            built = self._built[key] = _Built(backbone, torch.get_rng_state())
        L.seed_everything(seed, workers=True, verbose=False)
        torch.set_rng_state(built.state)
        return copy.deepcopy(built.backbone)

    def forget(self, model: ModelSettings) -> None:
        """Give the memory of a backbone back."""
        for key in [key for key in self._built if key[0] == model.name and key[2] == model.image_size]:
            del self._built[key]

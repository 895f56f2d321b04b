"""The input of the head: the backbone's features, or pooled features of several stages side by side."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.errors import UserError
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.freezing.plan import resolve_stages
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.settings.strategy_settings import StrategySettings


@dataclass(frozen=True)
class Readout:
    """Pooled features of several stages, concatenated from the images up: (B, D).

    Source: Evci et al. 2022, "Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning".

    Attributes:
        stages: Indices, rising.
        grid: Cells along each side of the image over which a stage's activations are averaged.
    """

    stages: tuple[int, ...]
    grid: int

    @property
    def taps(self) -> list[Tap]:
        return [Tap(index + 1, self.grid) for index in self.stages]

    def num_features(self, backbone: Backbone) -> int:
        return sum(backbone.pooled_width(index + 1, grid=self.grid) for index in self.stages)

    def __call__(self, prefix: FrozenPrefix, images: Tensor) -> Tensor:
        """Images (B, 3, S, S), uint8 -> (B, D), float32, without gradients; the same that `features/fill.py` stores."""
        mode = Mode(prefix.dtype, "eager" if prefix.fused is None else "fused", batch_size=1)
        parts = PrefixRunner(prefix.backbone, self.taps, mode, fused=prefix.fused)(images)
        return torch.cat(parts, 1)  # outside inference mode, so that the head can train on it


def make_readout(strategy: StrategySettings, backbone: Backbone) -> Readout | None:
    """The readout of `strategy.feature_stages`; None if the head reads the last stage's features.

    Raises:
        UserError: No stage, or one that the backbone does not have.
    """
    if strategy.feature_stages is None:
        return None
    key, names = "strategy.feature_stages", [stage.name for stage in backbone.stages]
    stages, _ = resolve_stages(strategy.feature_stages, names, key=key, model_name=backbone.name, with_head=False)
    if not stages:
        raise UserError(f"{key}={strategy.feature_stages}: name one stage at least, or all")
    return Readout(tuple(sorted(stages)), strategy.feature_grid)

"""The input of the head: the backbone's features, or pooled features of several stages side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from thawline.errors import UserError
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.freezing.plan import resolve_stages
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.pooling import CLASS_TOKEN
from thawline.models.stacked_head import Columns
from thawline.settings.strategy_settings import StrategySettings


@dataclass(frozen=True)
class Readout:
    """Pooled features of several stages, concatenated from the images up: (B, D).

    Source: Evci et al. 2022, "Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning".

    Attributes:
        stages: Indices, rising.
        grids: Cells along each side of the image over which a stage's activations are averaged; rising. `CLASS_TOKEN`
            among them reads the class token too, of the stages that have one.
        taps: A stage at a grid each, in the order of their features.
        widths: Features of every tap.
    """

    stages: tuple[int, ...]
    grids: tuple[int, ...]
    taps: tuple[Tap, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, backbone: Backbone, *, stages: Sequence[int], grids: Sequence[int]) -> "Readout":
        """A finer grid is left out where it gives the same features, as it does of the last stage."""
        taps: dict[Tap, int] = {}
        for index in sorted(stages):
            for grid in sorted(grids):
                tap, width = Tap(index + 1, grid), backbone.pooled_width(index + 1, grid=grid)
                if grid == CLASS_TOKEN:
                    taps |= {tap: width} if backbone.class_token_at(tap.cut) else {}
                elif width not in (taps[t] for t in taps if t.cut == tap.cut and t.grid != CLASS_TOKEN):
                    taps[tap] = width
        return cls(tuple(sorted(stages)), tuple(sorted(grids)), tuple(taps), tuple(taps.values()))

    @property
    def num_features(self) -> int:
        return sum(self.widths)

    def split(self, features: Tensor) -> dict[Tap, Tensor]:
        """(N, D) -> the features (N, D_tap) of every tap."""
        return dict(zip(self.taps, torch.split(features, list(self.widths), dim=1), strict=True))

    def columns(self, taps: Sequence[Tap]) -> Columns:
        """Where the features of `taps` lie."""
        ends = dict(zip(self.taps, accumulate(self.widths), strict=True))
        return tuple((ends[tap] - self.widths[self.taps.index(tap)], ends[tap]) for tap in taps)

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
    return Readout.of(backbone, stages=tuple(stages), grids=with_class_token(backbone, strategy.feature_grids))


def with_class_token(backbone: Backbone, grids: Sequence[int]) -> tuple[int, ...]:
    """The grids, and `CLASS_TOKEN` where some stage has a class token."""
    there = any(backbone.class_token_at(cut) for cut in range(1, backbone.num_stages + 1))
    return (CLASS_TOKEN, *grids) if there else tuple(grids)

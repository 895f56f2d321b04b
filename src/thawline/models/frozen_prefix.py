"""Runs the leading stages of a backbone without gradients."""

import torch
from torch import Tensor

from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.fused import FusedPrefix


class FrozenPrefix:
    """Runs stages in one number format; the weights stay fp32.

    Args:
        dtype: Type of the arithmetic: float32, bfloat16 or float16.
        fused: The faster form of the stages that never train; None runs all stages as they are.
    """

    def __init__(
        self, backbone: Backbone, *, dtype: torch.dtype = torch.float32, fused: FusedPrefix | None = None
    ) -> None:
        self.backbone = backbone
        self.dtype = dtype
        self.fused = fused

    def normalize(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S), uint8 -> the input of the first stage."""
        return self.backbone.normalize(images) if self.fused is None else self.fused.normalize(images)

    def between(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Run stages start .. stop-1 on the activations at `start`; returns float32."""
        if self.dtype == torch.float32 or stop == start:
            return self.backbone.between(x.float(), start, stop)
        if self.fused is not None and start < (end := min(stop, self.fused.cut)):
            x, start = self.fused.between(x, start, end), end
        with autocast(self.dtype, x.device):
            return self.backbone.between(x, start, stop).float()

"""A stacked probe of the pretrained stages beside a model whose last stages were fine-tuned; their average answers."""

import copy
import math

import torch
from torch import Tensor, nn

from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.readout import Readout
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import FusedPrefix
from thawline.models.stacked_head import StackedHead


def pretrained_copy(backbone: Backbone, *, shared: int) -> Backbone:
    """A copy that shares the tensors of the first `shared` stages; the others stay what they are now."""
    kept = backbone.prefix_tensors(shared).values()
    other = copy.deepcopy(backbone, memo={id(tensor): tensor for tensor in kept})
    other.requires_grad_(False)
    other.training_stages = frozenset()
    return other.eval()


class StackBeside(nn.Module):
    """Runs the pretrained stages once, for the stack and for the stages that were fine-tuned.

    Attributes:
        temperature: Factor of the logits of the model that was fine-tuned, (), float32.
    Args:
        backbone: Pretrained, from `pretrained_copy`.
        share: Of the stack in the average, above 0 and below 1.
        fused: The faster form of all its stages.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        readout: Readout,
        head: StackedHead,
        share: float,
        dtype: torch.dtype = torch.float32,
        fused: FusedPrefix | None = None,
    ) -> None:
        super().__init__()
        self.temperature: Tensor
        self.backbone, self.head, self.share = backbone, head, share
        self.register_buffer("temperature", torch.ones(()))
        self.readout = readout
        self.prefix = FrozenPrefix(backbone, dtype=dtype, fused=fused)

    def forward(self, images: Tensor, *, cut: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S), uint8 -> activations at `cut`, and the stack's logits (B, K)."""
        rows, features = self.features(images, cut=cut)
        return rows, self.head(features)

    def features(self, images: Tensor, *, cut: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, S, S), uint8 -> activations at `cut`, and what the stack reads, (B, D)."""
        mode = Mode(self.prefix.dtype, "eager" if self.prefix.fused is None else "fused", batch_size=1)
        taps = [Tap(cut), *self.readout.taps] if cut else list(self.readout.taps)
        outputs = PrefixRunner(self.backbone, taps, mode, fused=self.prefix.fused)(images)
        rows = outputs[0] if cut else self.backbone.normalize(images)
        return rows, torch.cat(outputs[1:] if cut else outputs, 1)

    def average(self, logits: Tensor, of_stack: Tensor) -> Tensor:
        """Logits (B, K) of both -> the log of the weighted average of their probabilities."""
        trained = (self.temperature * logits).log_softmax(1) + math.log1p(-self.share)
        return torch.logaddexp(trained, of_stack.log_softmax(1) + math.log(self.share))

"""The forward pass of a classifier: the same in training, in the test, and in a model that only predicts."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from thawline.features.activations import Activations
from thawline.features.readout import Readout
from thawline.machine.decisions import memory_format
from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.models.depthwise import Fp32DepthwiseBackward
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.training.beside import StackBeside


class Answering(nn.Module):
    """Images or stored activations -> logits.

    Attributes:
        prefix: How the stages that do not train compute.
        readout: What the head reads of a backbone that never trains; None is the last stage's features.
        beside: A stack with which the answers to images are averaged; its cut is `first_training`.
        first_training: The first stage that ever trains.
    """

    backbone: Backbone
    head: nn.Module
    prefix: FrozenPrefix
    readout: Readout | None
    beside: StackBeside | None
    first_training: int

    def forward(self, images: Tensor | Activations) -> Tensor:
        """Images (B, 3, S, S), uint8 or floating point in [0, 1], or what is stored of them -> logits (B, K).

        Images that are normalised already go to `logits`.
        """
        if isinstance(images, Activations):
            return self.logits(images.rows, start=images.cut)
        if self.readout is not None:
            return self.classify(self.readout(self.prefix, images))
        if self.beside is not None:
            rows, of_stack = self.beside(images, cut=self.first_training)
            return self.beside.average(self.logits(rows, start=self.first_training), of_stack)
        return self.logits(self.prefix.normalize(images), start=0)

    def logits(self, x: Tensor, *, start: int) -> Tensor:
        """Activations at cut `start`, 0 for normalised images -> logits (B, K); frozen stages without gradients."""
        cut = max(self.backbone.frozen_prefix, start)
        if x.ndim == 4:
            x = x.contiguous(memory_format=memory_format(x.device.type))
        with torch.no_grad():
            x = self.prefix.between(x, start, cut)
        with Fp32DepthwiseBackward():
            features = self.suffix()(x, cut)
        return self.classify(features)

    def until(self, x: Tensor, *, start: int, stop: int) -> Tensor:
        """Activations at `start`, 0 for normalised images -> those at `stop`, as on the way to the logits."""
        frozen = min(self.backbone.frozen_prefix, stop)
        if start < frozen:
            x, start = self.prefix.between(x, start, frozen), frozen
        return self.backbone.between(x, start, stop)

    def suffix(self) -> Callable[[Tensor, int], Tensor]:
        """What runs the stages that train."""
        return self.backbone.suffix

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, D) -> logits (B, K), in fp32: of no cost, and the loss is taken of what it gives."""
        with autocast(torch.float32, features.device):
            logits: Tensor = self.head(features.float())
        return logits

"""Activation statistics of images, per channel: at every BatchNorm's input, or at the end of every stage."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.models.backbone import Backbone
from thawline.precision import autocast

NUM_NOISE_IMAGES = 32  # chosen: over six seeds on EfficientNet-Lite0, noise's own reading varies by 0.8 %
_NOISE_SEED = 0


@dataclass(frozen=True)
class Moments:
    """Of every image, over its positions: mean and mean square per channel, (N, C), float32."""

    mean: Tensor
    square: Tensor

    def first(self, num_images: int) -> "Moments":
        """Of the first images only."""
        return Moments(self.mean[:num_images], self.square[:num_images])

    def pooled(self, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance per channel over images and positions, (R, C), of R weightings of the images.

        Args:
            shares: (R, N), rows with sum 1; None weighs all images alike, R = 1. The variance between images is
                enlarged by N / (N - 1), as if its N were a sample: few images are not nearer to each other than many.
        """
        num_images = len(self.mean)
        shares = torch.full((1, num_images), 1 / num_images) if shares is None else shares
        mean, square = shares @ self.mean, shares @ self.square
        between = (shares @ self.mean.square() - mean.square()).clamp(min=0)
        return mean, (square - mean.square()).clamp(min=0) + between / max(1, num_images - 1)


LayerMoments = dict[str, Moments]  # by the name of a BatchNorm in the model, or of a stage


def batchnorm_names(backbone: Backbone) -> dict[str, int]:
    """BatchNorms that carry statistics of the source, by name in the model, with the stage that each lies in."""
    found = {}
    for index, stage in enumerate(backbone.stages):
        for called in stage.modules:
            for inner, module in backbone.model.get_submodule(called).named_modules():
                if isinstance(module, _BatchNorm) and module.running_mean is not None:
                    found[f"{called}.{inner}" if inner else called] = index
    return found


def batchnorm_moments(backbone: Backbone, batches: Iterable[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """At the input of every BatchNorm, from one pass over uint8 images (B, 3, S, S).

    Args:
        backbone: In eval mode.
        dtype: In which it computes; the statistics are summed in fp32.
    """
    found: dict[str, list[Moments]] = {name: [] for name in batchnorm_names(backbone)}
    with _listening(backbone, found), torch.no_grad():
        for images in batches:
            with autocast(dtype, images.device):
                backbone(backbone.normalize(images))
    return _joined(found)


def stage_moments(backbone: Backbone, batches: Iterable[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """The same at the end of every stage, by its name: for any backbone."""
    found: dict[str, list[Moments]] = {stage.name: [] for stage in backbone.stages}
    with torch.no_grad():
        for images in batches:
            with autocast(dtype, images.device):
                x = backbone.normalize(images)
                for stage in backbone.stages:
                    x = stage.forward(backbone.model, x)
                    wide = x.float()
                    found[stage.name].append(Moments(backbone.pool(wide).cpu(), backbone.pool(wide.square()).cpu()))
    return _joined(found)


def noise_images(num_images: int, size: int) -> Tensor:
    """Uniform noise, (N, 3, S, S), uint8: what no photograph looks like."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    return torch.randint(256, (num_images, 3, size, size), dtype=torch.uint8, generator=generator)


def _joined(found: dict[str, list[Moments]]) -> LayerMoments:
    return {
        name: Moments(torch.cat([part.mean for part in parts]), torch.cat([part.square for part in parts]))
        for name, parts in found.items()
        if parts
    }


@contextmanager
def _listening(backbone: Backbone, found: dict[str, list[Moments]]) -> Iterator[None]:
    def listen(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].float().flatten(2) if inputs[0].ndim > 2 else inputs[0].float()[:, :, None]  # (B, C, P)
            found[name].append(Moments(x.mean(2).cpu(), x.square().mean(2).cpu()))

        return hook

    handles = [backbone.model.get_submodule(n).register_forward_pre_hook(listen(n)) for n in found]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

"""Activation statistics of images, per channel: at every BatchNorm's input, or at the end of every stage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.machine.number_formats import autocast
from thawline.models.backbone import Backbone
from thawline.progress_bar import counted

NUM_NOISE_IMAGES = 32  # chosen: over six seeds on EfficientNet-Lite0, noise's own reading varies by 0.8 %
_NOISE_SEED = 0
# Images at once. Measured on EfficientNet-Lite0 at 224: the process peaks at 1.0 GB, with 32 at 1.4 GB, in more time.
_AT_ONCE = 8


@dataclass(frozen=True)
class Moments:
    """Mean and mean square per channel of every image, over its positions, (N, C), float32."""

    mean: Tensor
    square: Tensor

    def pooled(self, shares: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance per channel over images and positions, (R, C), of R weightings of the images.

        Args:
            shares: (R, N), rows with sum 1; None gives all images the same weight, R = 1. The variance between images
                is multiplied by N / (N - 1), as for a sample, so that it does not depend on the number of images.
        """
        num_images = len(self.mean)
        shares = torch.full((1, num_images), 1 / num_images) if shares is None else shares
        mean, square = shares @ self.mean, shares @ self.square
        between = (shares @ self.mean.square() - mean.square()).clamp(min=0)
        return mean, (square - mean.square()).clamp(min=0) + between / max(1, num_images - 1)


LayerMoments = dict[str, Moments]  # by the name of a BatchNorm in the model, or of a stage


def batchnorm_names(backbone: Backbone) -> dict[str, int]:
    """BatchNorms with statistics of the source: name in the model -> index of the stage."""
    stage_of = {}
    for index, stage in enumerate(backbone.stages):
        for called in stage.modules:
            for inner, module in backbone.model.get_submodule(called).named_modules():
                if isinstance(module, _BatchNorm) and module.running_mean is not None:
                    stage_of[f"{called}.{inner}" if inner else called] = index
    return stage_of


def batchnorm_moments(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """At the input of every BatchNorm, from one pass over uint8 images (B, 3, S, S).

    Args:
        backbone: In eval mode.
        dtype: Type of the arithmetic; the statistics are summed in fp32.
    """
    widths = {name: _num_channels(backbone, name) for name in batchnorm_names(backbone)}
    collected = _Collected(widths, num_images=sum(map(len, batches)))
    with _collecting(backbone, collected), torch.no_grad():
        for images in _few_at_once(batches):
            with autocast(dtype, images.device):
                backbone(backbone.normalize(images))
            collected.start += len(images)
    return collected.moments()


def stage_moments(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """The same at the end of every stage, by the stage's name."""
    widths = {stage.name: backbone.pooled_width(cut, grid=1) for cut, stage in enumerate(backbone.stages, start=1)}
    collected = _Collected(widths, num_images=sum(map(len, batches)))
    with torch.no_grad():
        for images in _few_at_once(batches):
            with autocast(dtype, images.device):
                x = backbone.normalize(images)
                for stage in backbone.stages:
                    x = stage.forward(backbone.model, x)
                    wide = x.float()
                    collected.put(stage.name, backbone.pool(wide), backbone.pool(wide.square()))
            collected.start += len(images)
    return collected.moments()


def noise_images(num_images: int, size: int) -> Tensor:
    """Uniform noise, (N, 3, S, S), uint8."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    return torch.randint(256, (num_images, 3, size, size), dtype=torch.uint8, generator=generator)


def _few_at_once(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    few = [images for batch in batches for images in torch.split(batch, _AT_ONCE)]
    yield from counted(few, len(few), "batches for the domain distance", above=0)


def _num_channels(backbone: Backbone, name: str) -> int:
    mean = backbone.model.get_submodule(name).running_mean
    assert isinstance(mean, Tensor), name
    return len(mean)


class _Collected:
    """The moments of all images, in tensors that are allocated beforehand.

    Small tensors that are allocated between large ones and stay make the memory fragmented. Measured with 256 images at
    224 on EfficientNet-Lite0, 8 at a time: the process peaked at 1.5 to 3.5 GB, and now peaks at 1.0 GB.

    Args:
        widths: Channels of every layer.
    Attributes:
        start: Number of images whose moments are complete.
    """

    def __init__(self, widths: Mapping[str, int], *, num_images: int) -> None:
        self.start = 0
        self._moments = {
            name: Moments(torch.zeros(num_images, width), torch.zeros(num_images, width))
            for name, width in widths.items()
        }
        self._filled: set[str] = set()

    def put(self, name: str, mean: Tensor, square: Tensor) -> None:
        """Store the moments of the next images, (B, C) each."""
        rows = slice(self.start, self.start + len(mean))
        self._moments[name].mean[rows], self._moments[name].square[rows] = mean, square
        self._filled.add(name)

    def moments(self) -> LayerMoments:
        """The moments of the layers that computed something."""
        return {name: moments for name, moments in self._moments.items() if name in self._filled}


@contextmanager
def _collecting(backbone: Backbone, collected: _Collected) -> Iterator[None]:
    def hook_of(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].float().flatten(2) if inputs[0].ndim > 2 else inputs[0].float()[:, :, None]  # (B, C, P)
            collected.put(name, x.mean(2), x.square().mean(2))

        return hook

    names = batchnorm_names(backbone)
    handles = [backbone.model.get_submodule(name).register_forward_pre_hook(hook_of(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

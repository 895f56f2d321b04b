"""Activation statistics of images, per channel: at every BatchNorm's input, or at the end of every stage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.machine.precision import autocast
from thawline.models.backbone import Backbone

NUM_NOISE_IMAGES = 32  # chosen: over six seeds on EfficientNet-Lite0, noise's own reading varies by 0.8 %
_NOISE_SEED = 0
_AT_ONCE = (
    8  # images; measured on EfficientNet-Lite0 at 224: the process peaks at 1.0 GB, with 32 at 1.4 GB, in more time
)


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


def batchnorm_moments(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """At the input of every BatchNorm, from one pass over uint8 images (B, 3, S, S).

    Args:
        backbone: In eval mode.
        dtype: In which it computes; the statistics are summed in fp32.
    """
    widths = {name: _num_channels(backbone, name) for name in batchnorm_names(backbone)}
    found = _Found(widths, num_images=sum(map(len, batches)))
    with _listening(backbone, found), torch.no_grad():
        for images in _few_at_once(batches):
            with autocast(dtype, images.device):
                backbone(backbone.normalize(images))
            found.start += len(images)
    return found.of_all()


def stage_moments(backbone: Backbone, batches: Sequence[Tensor], *, dtype: torch.dtype) -> LayerMoments:
    """The same at the end of every stage, by its name: for any backbone."""
    widths = {stage.name: backbone.pooled_width(cut, grid=1) for cut, stage in enumerate(backbone.stages, start=1)}
    found = _Found(widths, num_images=sum(map(len, batches)))
    with torch.no_grad():
        for images in _few_at_once(batches):
            with autocast(dtype, images.device):
                x = backbone.normalize(images)
                for stage in backbone.stages:
                    x = stage.forward(backbone.model, x)
                    wide = x.float()
                    found.put(stage.name, backbone.pool(wide), backbone.pool(wide.square()))
            found.start += len(images)
    return found.of_all()


def noise_images(num_images: int, size: int) -> Tensor:
    """Uniform noise, (N, 3, S, S), uint8: what no photograph looks like."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    return torch.randint(256, (num_images, 3, size, size), dtype=torch.uint8, generator=generator)


def _few_at_once(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    for images in batches:
        yield from torch.split(images, _AT_ONCE)


def _num_channels(backbone: Backbone, name: str) -> int:
    mean = backbone.model.get_submodule(name).running_mean
    assert isinstance(mean, Tensor), name
    return len(mean)


class _Found:
    """Room for the moments of all images, made beforehand.

    Small tensors that are made among large ones, and stay, keep the space between them from being used again. Measured
    with 256 images at 224 on EfficientNet-Lite0, 8 at a time: the process peaked at 1.5 to 3.5 GB, and does at 1.0 GB.

    Args:
        widths: Channels of every layer.

    Attributes:
        start: Images that were put in before.
    """

    def __init__(self, widths: Mapping[str, int], *, num_images: int) -> None:
        self.start = 0
        self._room = {
            name: Moments(torch.zeros(num_images, width), torch.zeros(num_images, width))
            for name, width in widths.items()
        }
        self._met: set[str] = set()

    def put(self, name: str, mean: Tensor, square: Tensor) -> None:
        """Of the next images, (B, C) each."""
        rows = slice(self.start, self.start + len(mean))
        self._room[name].mean[rows], self._room[name].square[rows] = mean, square
        self._met.add(name)

    def of_all(self) -> LayerMoments:
        """Without the layers that nothing came through."""
        return {name: moments for name, moments in self._room.items() if name in self._met}


@contextmanager
def _listening(backbone: Backbone, found: _Found) -> Iterator[None]:
    def listen(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].float().flatten(2) if inputs[0].ndim > 2 else inputs[0].float()[:, :, None]  # (B, C, P)
            found.put(name, x.mean(2), x.square().mean(2))

        return hook

    names = batchnorm_names(backbone)
    handles = [backbone.model.get_submodule(name).register_forward_pre_hook(listen(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

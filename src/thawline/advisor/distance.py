"""The distance of the target from the source, per stage, between their activation statistics.

A BatchNorm layer holds the mean and the variance, per channel, of its input over the data that the backbone was trained
on, so no source image is needed. For a backbone without BatchNorm, photographs stand in for the source. On the scale,
0 is the source and 1 is uniform noise on the same backbone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.advisor.moments import LayerMoments, batchnorm_names
from thawline.models.backbone import Backbone

NUM_RESAMPLES = 200  # of the images, for the spread of a reading; chosen: 2.5 % of them lie outside on either side
_SEED = 0
# Added to the variances over photographs, as a share of the median channel's variance; it has the purpose of
# BatchNorm's eps. Chosen: eps is 1e-3 or 1e-5, and variances are about 1.
_LEAST_SHARE = 1e-3


def wasserstein2(mean: Tensor, var: Tensor, *, ref_mean: Tensor, ref_var: Tensor) -> Tensor:
    """Squared 2-Wasserstein distance between per-channel Gaussians, in units of the reference variance.

    Args:
        mean, var: Target statistics per channel, (..., C), float32; var >= 0.
        ref_mean, ref_var: Source statistics per channel, (C,); ref_var > 0.
    Returns:
        (..., C), dimensionless, >= 0; 0 where the statistics agree.
    Raises:
        ValueError: Numbers of channels differ, or a variance is negative, or a reference variance is not positive.
    Source: closed form for Gaussians, Dowson and Landau 1982, J. Multivariate Analysis 12.
    """
    if not mean.shape[-1] == var.shape[-1] == len(ref_mean) == len(ref_var):
        raise ValueError(f"channels: {mean.shape[-1]}, {var.shape[-1]}, {len(ref_mean)}, {len(ref_var)}")
    if (var < 0).any() or (ref_var <= 0).any():
        raise ValueError("a variance is negative, or the reference's is 0")
    return ((mean - ref_mean).square() + (var.sqrt() - ref_var.sqrt()).square()) / ref_var


@dataclass(frozen=True)
class Layer:
    """Statistics of the source at a layer, and the stage of the layer.

    Attributes:
        mean, var: Per channel, (C,), float32.
        least: Added to both variances, because a channel may be constant in the source.
    """

    stage: int
    mean: Tensor
    var: Tensor
    least: float


Reference = dict[str, Layer]  # by the layer's name


def batchnorm_reference(backbone: Backbone) -> Reference:
    """Statistics of the source in the backbone's BatchNorm layers; empty if it has none."""
    layers = {}
    for name, stage in batchnorm_names(backbone).items():
        norm = backbone.model.get_submodule(name)
        assert isinstance(norm, _BatchNorm), type(norm)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        layers[name] = Layer(stage, norm.running_mean.cpu().float(), norm.running_var.cpu().float(), norm.eps)
    return layers


def photo_reference(backbone: Backbone, photographs: LayerMoments) -> Reference:
    """Statistics of photographs, from `stage_moments`, at the end of every stage, instead of the source's."""
    layers = {}
    for index, stage in enumerate(backbone.stages):
        mean, var = (rows[0] for rows in photographs[stage.name].pooled())
        layers[stage.name] = Layer(index, mean, var, _LEAST_SHARE * float(var.median()))
    return layers


@dataclass(frozen=True)
class Reading:
    """A distance and its spread over bootstrap samples of the images.

    Attributes:
        value: 0 like the source, 1 like noise; may exceed 1.
        low, high: Bounds of 95 % of the resamples.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Distances:
    """Distances of the target from the source: per stage, None for a stage without statistics, and over all layers."""

    stages: list[Reading | None]
    overall: Reading


def domain_distances(
    target: LayerMoments, noise: LayerMoments, reference: Reference, *, num_stages: int
) -> Distances | None:
    """Median distance over layers and channels, divided by that of noise; None if the reference is empty."""
    if not reference:
        return None
    shares = _resamples(len(next(iter(target.values())).mean))
    channels: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for name, layer in reference.items():
        pair = tuple(
            wasserstein2(mean, var + layer.least, ref_mean=layer.mean, ref_var=layer.var + layer.least)
            for mean, var in (target[name].pooled(shares), noise[name].pooled())
        )
        channels.setdefault(layer.stage, []).append((pair[0], pair[1]))
    stages = [_reading(channels[i]) if i in channels else None for i in range(num_stages)]
    return Distances(stages, _reading([pair for pairs in channels.values() for pair in pairs]))


def _resamples(num_images: int) -> Tensor:
    """Shares of the images, (1 + R, N): first in the whole set, then in R = `NUM_RESAMPLES` bootstrap samples."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randint(num_images, (NUM_RESAMPLES, num_images), generator=generator)
    counts = torch.zeros(NUM_RESAMPLES, num_images).scatter_add_(1, drawn, torch.ones(drawn.shape))
    return torch.cat([torch.ones(1, num_images), counts]) / num_images


def _reading(pairs: list[tuple[Tensor, Tensor]]) -> Reading:
    target = torch.cat([of_target for of_target, _ in pairs], 1).median(1).values  # (1 + R,)
    noise = float(torch.cat([of_noise for _, of_noise in pairs], 1).median())
    scaled = target / noise
    low, high = scaled[1:].quantile(torch.tensor([0.025, 0.975])).tolist()
    return Reading(float(scaled[0]), float(low), float(high))

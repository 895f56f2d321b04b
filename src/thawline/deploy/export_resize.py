"""Pillow's resize as two matrix products, so that a graph can hold it: the same levels but for rounding.

An output pixel of Pillow's filters is a weighted mean of input pixels, first along rows, then along columns, rounded to
whole levels after each. Row i of `resize_weights` has the weights of output pixel i; a crop takes some of the rows. The
products cost H * W * S + H * S * S multiplications a channel.

Since version 13 Pillow takes the columns first for images that shrink much more in height than in width. The rows come
first here at all times, so that in images more than twice as high as wide some levels differ.
"""

import torch
from torch import Tensor, nn

from thawline.data.input_spec import InputSpec

_A = -0.5  # of the cubic filter: Pillow's; Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing"


class PillowResize(nn.Module):
    """Levels (N, 3, H, W) from 0 to 255 of any size -> (N, 3, S, S), whole levels; both float32.

    `data.transforms.eval_transform` does the same to one image. H and W are values in the graph: each call may have
    others.

    Args:
        spec: Size, filter, and how an image that is not square becomes one.
    """

    grey: Tensor

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("grey", torch.tensor([round(255 * level) for level in spec.mean]).float().view(1, 3, 1, 1))

    def forward(self, levels: Tensor) -> Tensor:
        height, width = (torch.scalar_tensor(side, dtype=torch.float64) for side in levels.shape[2:])
        shorter, longer = torch.minimum(height, width), torch.maximum(height, width)
        tall, wide = (self._resized(side, shorter, longer) for side in (height, width))
        rows, columns = self._kept(tall), self._kept(wide)
        filter_ = self.spec.interpolation
        across = resize_weights(columns, levels.shape[3], resized=wide, interpolation=filter_)  # (S, W)
        down = resize_weights(rows, levels.shape[2], resized=tall, interpolation=filter_)  # (S, H)
        x = _whole(down @ _whole(levels @ across.T))
        if self.spec.fit != "pad":
            return x
        inside = _within(rows, tall)[:, None] & _within(columns, wide)[None, :]  # (S, S)
        return torch.where(inside, x, self.grey)

    def _resized(self, side: Tensor, shorter: Tensor, longer: Tensor) -> Tensor:
        """How long a side becomes; float64, (), a whole number."""
        size, fit = self.spec.size, self.spec.fit
        if fit == "crop":
            return torch.floor(int(size / self.spec.crop_pct) * side / shorter)
        if fit == "pad":
            return torch.round(size * side / longer).clamp(min=1.0)
        assert fit == "squash", fit
        return torch.full_like(side, float(size))

    def _kept(self, resized: Tensor) -> Tensor:
        """Which pixels of the resized side are the S of the output, (S,); beyond the side where it is padded."""
        size = self.spec.size
        index = torch.arange(size, dtype=torch.float64)
        if self.spec.fit == "pad":
            return index - torch.floor((size - resized) / 2)
        return index + torch.round((resized - size) / 2)


def resize_weights(kept: Tensor, side: int, *, resized: Tensor, interpolation: str) -> Tensor:
    """Weights (S, side), float32, of the input pixels in each output pixel; a row sums up to 1.

    Args:
        kept: Which pixels of the resized side are wanted, (S,), float64.
        side: Pixels of the input.
        resized: Pixels that the whole side becomes, (), float64.
    """
    scale = side / resized
    centre = (kept[:, None] + 0.5) * scale  # (S, 1), in input pixels
    pixels = torch.arange(side, dtype=torch.float64)[None, :]  # (1, side)
    if interpolation == "nearest":
        return (pixels == torch.floor(centre)).float()
    distance = (pixels + 0.5 - centre).abs() / scale.clamp(min=1.0)  # a wider filter where the image becomes smaller
    values = _cubic(distance) if interpolation == "bicubic" else (1.0 - distance).clamp(min=0.0)
    total = values.sum(1, keepdim=True)
    return (values / torch.where(total == 0, torch.ones_like(total), total)).float()


def _cubic(x: Tensor) -> Tensor:
    near = ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * _A
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _whole(levels: Tensor) -> Tensor:
    return torch.floor(levels + 0.5).clamp(0.0, 255.0)


def _within(kept: Tensor, resized: Tensor) -> Tensor:
    return (kept >= 0) & (kept < resized)

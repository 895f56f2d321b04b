"""A convolution with the BatchNorm and the activation that follow it, as one call of oneDNN."""

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

# Activation -> oneDNN's name and scalars for it. oneDNN applies it to the convolution's output in registers.
Step = tuple[str, list[float]]
NO_STEP: Step = ("none", [])
ACTIVATIONS: dict[type[nn.Module], Step] = {
    nn.Identity: NO_STEP,
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}


class FusedConvolution(nn.Module):
    """Activation of BatchNorm of convolution, for a BatchNorm in eval mode: (B, C, H, W) -> (B, D, H', W').

    Args:
        convolution: An `nn.Conv2d` padded with zeros, or timm's `Conv2dSame`.
        norm: Must have running statistics.
        step: The activation; see `ACTIVATIONS`.
        dtype: Type of the weight, the input and the output; the bias is fp32.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, step: Step, *, dtype: torch.dtype) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        self.weight = weight.detach().to(dtype, memory_format=torch.channels_last)
        self.bias = bias.detach()
        self.same = type(convolution) is Conv2dSame
        self.kernel, self.stride = list(convolution.kernel_size), list(convolution.stride)
        self.dilation = list(convolution.dilation)
        self.padding: Any = convolution.padding
        self.groups = convolution.groups
        self.step = step
        self._extended: dict[tuple[int, int], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        x, weight, padding = x.to(self.weight.dtype), self.weight, self.padding
        if self.same:
            x, weight, padding = self._padded(x)
        geometry = (padding, self.stride, self.dilation, self.groups)
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *geometry, *self.step, "")
        return fused

    def _padded(self, x: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        """Input, weight and symmetric padding equivalent to TensorFlow's padding, which may have one more at the end.

        A depthwise kernel gets a zero row or column in front, so that the input is not copied: 47 ms instead of 64 for
        the depthwise convolutions of EfficientNet-Lite0 and a batch of 64. For a dense kernel the copy costs less.
        """
        axes = zip(x.shape[-2:], self.kernel, self.stride, self.dilation, strict=True)
        height, width = (get_same_padding(*axis) for axis in axes)
        if self.weight.shape[1] > 1 or self.dilation != [1, 1]:
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
            return x, self.weight, (0, 0)
        odd = height % 2, width % 2
        if odd not in self._extended:
            extended = F.pad(self.weight, (odd[1], 0, odd[0], 0)).contiguous(memory_format=torch.channels_last)
            self._extended[odd] = extended
        return x, self._extended[odd], (height - height // 2, width - width // 2)

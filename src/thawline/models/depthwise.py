"""Depthwise convolutions in bf16 whose backward pass computes in fp32.

On a CPU with bf16 arithmetic this is the only part of a training step that is slower in bf16. Measured with
EfficientNet-Lite0 at 224, batch 32, on 2 AVX512-bf16 cores: the depthwise convolutions' backward pass takes 254 ms in
fp32 and 843 ms in bf16, that of all other convolutions 357 and 199 ms.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

_NUM_ARGUMENTS = 7  # of conv2d as torch.nn.Conv2d calls it: input, weight, bias, stride, padding, dilation, groups


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.bias_sizes = geometry, None if bias is None else list(bias.shape)
        low_bias = None if bias is None else bias.to(torch.bfloat16)
        return torch.conv2d(x.to(torch.bfloat16), weight.to(torch.bfloat16), low_bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        transposed, output_padding, needed = False, [0, 0], list(ctx.needs_input_grad[:3])
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grad.float(), x.float(), weight.float(), ctx.bias_sizes, list(stride), list(padding), list(dilation),
            transposed, output_padding, groups, needed,
        )  # fmt: skip
        return None if grad_x is None else grad_x.to(x.dtype), grad_weight, grad_bias, None, None, None, None


class Fp32DepthwiseBackward(TorchFunctionMode):
    """Inside the block, depthwise convolutions under bf16 autocast on a CPU have their backward pass in fp32."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.conv2d and not kwargs and _is_depthwise_in_bf16(args):
            with torch.autocast("cpu", enabled=False):
                return _Convolution.apply(*args)
        return func(*args, **(kwargs or {}))


def _is_depthwise_in_bf16(args: tuple[Any, ...]) -> bool:
    if len(args) != _NUM_ARGUMENTS or not torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
        return False
    x, weight, _, _, padding, _, groups = args
    depthwise = groups > 1 and weight.shape[1] == 1
    return depthwise and x.device.type == "cpu" and not isinstance(padding, str)

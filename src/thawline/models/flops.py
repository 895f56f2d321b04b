"""What torch's FLOP counter does not know, or counts wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count

_Shape = Sequence[int]


def flop_formulas() -> dict[Any, Callable[..., int]]:
    """For `FlopCounterMode(custom_mapping=...)`.

    oneDNN's fused convolution is unknown to it. Of a grouped convolution's backward pass it counts the gradient of the
    weight as if every channel met every other: for a depthwise one too much by the number of channels.
    """
    formulas: dict[Any, Callable[..., int]] = {torch.ops.aten.convolution_backward: _convolution_backward}
    fused = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    return formulas if fused is None else {**formulas, fused: _fused_convolution}


def _convolution_backward(
    grad: _Shape,
    x: _Shape,
    weight: _Shape,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """The gradient of the input, and that of the weight, each take as many multiply-adds as the forward pass."""
    forward = conv_flop_count(list(x), list(weight), list(grad), transposed)
    return int(forward * sum(wanted[:2]))


def _fused_convolution(x: _Shape, weight: _Shape, *_: Any, out_shape: _Shape, **__: Any) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))

"""FLOPs of operations that torch's counter does not know or counts wrong."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import conv_flop_count

_Shape = Sequence[int]


def flop_formulas() -> dict[Any, Callable[..., int]]:
    """The argument `custom_mapping` of `FlopCounterMode`.

    The counter does not know oneDNN's fused convolution. In the backward pass of a grouped convolution it counts the
    weight's gradient as if there were one group: for a depthwise one too much by a factor of the number of channels.
    """
    formulas: dict[Any, Callable[..., int]] = {torch.ops.aten.convolution_backward: _convolution_backward}
    fused = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    return formulas if fused is None else {**formulas, fused: _fused_convolution}


def _convolution_backward(grad: _Shape, x: _Shape, weight: _Shape, *others: Any, **_: Any) -> int:
    """The gradient of the input, and that of the weight, each take as many multiply-adds as the forward pass.

    `others` are those of `aten.convolution_backward`: bias sizes, stride, padding, dilation, transposed, output
    padding, groups, and which gradients are computed (of input, weight, bias).
    """
    transposed, computed = others[-4], others[-1]
    return int(conv_flop_count(list(x), list(weight), list(grad), transposed) * sum(computed[:2]))


def _fused_convolution(x: _Shape, weight: _Shape, *_: Any, out_shape: _Shape, **__: Any) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))

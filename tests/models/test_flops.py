"""Multiply-adds by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thawline.models.flops import flop_formulas


@pytest.mark.parametrize("groups", [1, 4, 8])
@pytest.mark.parametrize("first", [True, False])
def test_a_convolution_forward_and_backward(groups: int, first: bool) -> None:
    """8 channels in and out, 3 x 3, 2 images of 10 x 10: 2 * 100 * 9 * 8 * 8 / groups multiply-adds a pass."""
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=groups)
    x = torch.randn(2, 8, 10, 10, requires_grad=not first)
    with FlopCounterMode(display=False, custom_mapping=flop_formulas()) as counter:
        y = layer(x)
        forward = counter.get_total_flops()
        y.sum().backward()
    assert forward == 2 * (2 * 100 * 9 * 8 * 8 // groups)
    passes = 1 if first else 2  # the first layer's input needs no gradient
    assert counter.get_total_flops() - forward == passes * forward


def test_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3)
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    with FlopCounterMode(display=False, custom_mapping=flop_formulas()) as counter:
        layer(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * (25 * 9 * 4 * 6)


def test_a_fused_convolution() -> None:
    formula = flop_formulas()[torch.ops.mkldnn._convolution_pointwise]
    flops = formula([2, 3, 6, 6], [8, 3, 3, 3], [8], [0, 0], [1, 1], [1, 1], 1, "relu", [], "", out_shape=[2, 8, 4, 4])
    assert flops == 2 * 2 * 16 * 8 * 27

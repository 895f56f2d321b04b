"""Inside the block a depthwise convolution under bf16 has the forward of bf16 and the backward of fp32."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thawline.models.depthwise import Fp32DepthwiseBackward


def gradients(conv: nn.Conv2d, x: Tensor, *, inside: bool) -> tuple[Tensor, list[Tensor]]:
    """(output, gradients of x, weight and bias) under bf16 autocast, for ones as the output's gradient."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if inside:
            with Fp32DepthwiseBackward():
                out = conv(x)
        else:
            out = conv(x)
    return out, list(torch.autograd.grad(out, [x, *conv.parameters()], torch.ones_like(out)))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_forward_is_that_of_bf16_and_gradients_are_those_of_fp32(bias: bool, stride: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, 3, padding=1, stride=stride, groups=8, bias=bias)
    x = torch.randn(4, 8, 16, 16)
    out, computed = gradients(conv, x, inside=True)
    plain, _ = gradients(conv, x, inside=False)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, plain)
    exact = x.clone().requires_grad_()
    result = conv(exact)
    expected = torch.autograd.grad(result, [exact, *conv.parameters()], torch.ones_like(result))
    for ours, fp32 in zip(computed, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, fp32)


def test_what_comes_in_bf16_gets_its_gradient_in_bf16() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    x = torch.randn(2, 8, 8, 8, dtype=torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16), Fp32DepthwiseBackward():
        out = conv(x)
    assert type(out.grad_fn).__name__ == "_ConvolutionBackward"
    (grad,) = torch.autograd.grad(out.sum(), [x])
    assert grad.dtype == torch.bfloat16


def test_a_frozen_weight_gets_no_gradient() -> None:
    conv = nn.Conv2d(4, 4, 3, groups=4).requires_grad_(False)
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16), Fp32DepthwiseBackward():
        conv(x).float().sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None


@pytest.mark.parametrize(
    "changes", [{}, {"groups": 2}, {"groups": 8, "padding": "same"}], ids=["dense", "grouped", "padding by name"]
)
def test_other_convolutions_are_untouched(changes: dict[str, Any]) -> None:
    conv, x = nn.Conv2d(8, 8, 3, **changes), torch.randn(1, 8, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), Fp32DepthwiseBackward():
        assert type(conv(x).grad_fn).__name__ != "_ConvolutionBackward"


def test_without_autocast_or_without_gradients_nothing_changes() -> None:
    conv, x = nn.Conv2d(8, 8, 3, groups=8), torch.randn(1, 8, 8, 8)
    with Fp32DepthwiseBackward():
        assert conv(x).dtype == torch.float32
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            assert conv(x).grad_fn is None

"""One call of oneDNN gives what convolution, BatchNorm and activation give."""

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from thawline.models.fused_convolution import ACTIVATIONS, FusedConvolution


def norm_with_statistics(num_channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(num_channels).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2.0)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_activation(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    conv, norm, x = nn.Conv2d(4, 8, 3, padding=1, stride=2), norm_with_statistics(8), torch.randn(2, 4, 9, 9)
    fused = FusedConvolution(conv, norm, ACTIVATIONS[activation], dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), activation()(norm(conv(x))))


@pytest.mark.parametrize("size", [(14, 14), (15, 15), (14, 15)])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("groups", "dilation"), [(1, 1), (8, 1), (8, 2)], ids=["dense", "depthwise", "dilated"])
def test_padding_as_in_tensorflow(size: tuple[int, int], kernel: int, groups: int, dilation: int) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(8, 8, kernel, stride=2, groups=groups, dilation=dilation)
    norm, x = norm_with_statistics(8), torch.randn(2, 8, *size)
    fused = FusedConvolution(conv, norm, ACTIVATIONS[nn.ReLU6], dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), nn.functional.relu6(norm(conv(x))))
        torch.testing.assert_close(fused(x), fused(x), atol=0.0, rtol=0.0)

"""The fused form of a prefix computes what the prefix does, shares what it does not change, and knows its limits."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from thawline.models import fused as fused_module
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.fused import fuse
from thawline.models.fused_convolution import FusedConvolution


def with_statistics(backbone: Backbone) -> Backbone:
    """As after pretraining: BatchNorm's statistics and affine parameters are not 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0.0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0.0, 0.2, generator=generator)
    return backbone.eval()


def error(x: Tensor, exact: Tensor) -> float:
    return float((x.float() - exact).norm() / exact.norm())


@pytest.mark.parametrize(
    ("name", "num_fused"),
    [("test_resnet", 15), ("resnet18", 20), ("tf_efficientnet_lite0", 49), ("mobilenetv3_small_050", 34)],
)
def test_it_is_as_near_to_fp32_as_bf16_itself(name: str, num_fused: int) -> None:
    torch.manual_seed(0)
    backbone = with_statistics(build_backbone(name, weights="none", image_size=64))
    cut = backbone.num_stages
    fused = fuse(backbone, cut)
    assert fused is not None
    assert sum(isinstance(m, FusedConvolution) for m in fused.model.modules()) == num_fused
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        exact = backbone.prefix(backbone.normalize(images), cut)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            plain = backbone.prefix(backbone.normalize(images), cut)
    ours = fused.between(fused.normalize(images), 0, cut)
    assert ours.dtype == torch.bfloat16
    assert error(ours, exact) < 2 * error(plain, exact)


def test_only_what_is_folded_is_copied_and_the_backbone_stays_as_it_was(tiny_backbone: Backbone) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_backbone.state_dict().items()}
    tiny_backbone.train()
    training = {name for name, module in tiny_backbone.named_modules() if module.training}
    fused = fuse(tiny_backbone, 7)
    assert fused is not None
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny_backbone.state_dict().items())
    assert {name for name, module in tiny_backbone.named_modules() if module.training} == training
    of_backbone = {id(parameter) for parameter in tiny_backbone.model.parameters()}
    assert {id(parameter) for parameter in fused.model.parameters()} <= of_backbone
    assert not any(module.training for module in fused.model.modules())


def test_images_are_normalized_as_the_backbone_does(tiny_backbone: Backbone) -> None:
    fused = fuse(tiny_backbone, 7)
    assert fused is not None
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = tiny_backbone.normalize(images).to(torch.bfloat16)
    torch.testing.assert_close(fused.normalize(images), expected, atol=0.0, rtol=2**-7)  # one step of bf16


def test_a_backbone_without_batchnorm_has_none() -> None:
    assert fuse(build_backbone("vit_tiny_patch16_224", weights="none", image_size=32), 12) is None


class Branching(nn.Module):
    """The convolution's output is used before the BatchNorm, too."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return (self.bn(x) + x).mean((2, 3))


def test_a_convolution_that_others_read_too_is_not_folded() -> None:
    model = Branching()
    with torch.no_grad():
        model.bn.weight.fill_(3.0)
    backbone = Backbone(model, name="branching", image_size=16)
    assert fused_module._chains(backbone.eval(), backbone.num_stages)  # cannot be seen beforehand
    assert fuse(backbone, backbone.num_stages) is None


class AddsInPlace(nn.Module):
    """The activation takes the BatchNorm's tensor after something was added to it in place."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        y += 1.0
        return self.act(y).mean((2, 3))


def test_a_tensor_that_was_changed_in_place_is_another() -> None:
    backbone = Backbone(AddsInPlace(), name="adds", image_size=16).eval()
    (chain,) = fused_module._chains(backbone, backbone.num_stages)
    assert chain.activation is None
    assert fuse(backbone, backbone.num_stages) is not None


def test_an_activation_that_onednn_does_not_know_stays(tiny_backbone: Backbone) -> None:
    model = Branching()
    model.bn = BatchNormAct2d(8, act_layer=nn.Softplus)
    model.forward = lambda x: F.adaptive_avg_pool2d(model.bn(model.conv(x)), 1).flatten(1)  # type: ignore[method-assign]
    backbone = Backbone(model, name="softplus", image_size=16).eval()
    fused = fuse(backbone, backbone.num_stages)
    assert fused is not None
    assert isinstance(fused.model.get_submodule("bn"), nn.Softplus)

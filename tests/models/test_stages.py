"""Cutting a backbone anywhere leaves its arithmetic alone."""

import pytest
import timm
import torch
from torch import Tensor, nn

from thawline.errors import UserError
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.stages import split_into_stages

# (timm name, image size, names of the first and last stage, number of stages)
FAMILIES = [
    ("resnet18", 64, "conv1", "layer4", 5),
    ("tf_efficientnet_lite0", 64, "conv_stem", "conv_head", 9),
    ("convnext_atto", 64, "stem.0", "stages.3", 5),
    ("vit_tiny_patch16_224", 32, "patch_embed", "blocks.11", 13),
    ("swin_tiny_patch4_window7_224", 224, "patch_embed", "layers.3", 5),
    ("mobilenetv3_small_050", 64, "conv_stem", "conv_head", 8),
    ("eva02_tiny_patch14_224", 28, "patch_embed", "blocks.11", 13),  # rotary tables, made outside any module
    ("densenet121", 64, "features.conv0", "features.denseblock4", 8),
    ("levit_128s", 224, "stem.conv1", "stages.2", 7),
    ("test_convnext", 64, "stem.0", "stages.3", 5),
    ("test_vit", 64, "patch_embed", "blocks.5", 7),  # timm makes it for images of any size
]


@pytest.mark.parametrize(("name", "size", "first", "last", "num_stages"), FAMILIES)
def test_every_cut_equals_the_whole_model(name: str, size: int, first: str, last: str, num_stages: int) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, weights="none", image_size=size).eval()
    images = torch.randn(2, 3, size, size).to(memory_format=torch.channels_last)
    with torch.no_grad():
        whole = backbone.model(images)
        for cut in range(backbone.num_stages + 1):
            assert torch.equal(backbone.suffix(backbone.prefix(images, cut), cut), whole), f"cut {cut}"
    assert (backbone.stages[0].name, backbone.stages[-1].name, backbone.num_stages) == (first, last, num_stages)
    assert whole.shape == (2, backbone.num_features)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_every_parameter_belongs_to_exactly_one_stage_and_names_stay(name: str) -> None:
    model = timm.create_model(name, num_classes=0)
    names_before = list(model.state_dict())
    stages = split_into_stages(model, input_size=(3, 224, 224))
    owned = [parameter for stage in stages for parameter in stage.parameters]
    assert sorted(owned) == sorted(dict(model.named_parameters()))
    assert list(model.state_dict()) == names_before


@pytest.mark.parametrize("size", [64, 160])
def test_a_vit_for_any_size_computes_what_timm_has(size: int) -> None:
    timms = timm.create_model("test_vit", num_classes=0, img_size=size).eval()
    assert timms.dynamic_img_size
    backbone = build_backbone("test_vit", weights="none", image_size=size).eval()
    backbone.model.load_state_dict(timms.state_dict())
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(backbone(images), timms(images))


def test_class_token_and_position_embedding_belong_to_the_first_stage_of_a_vit() -> None:
    stages = split_into_stages(timm.create_model("vit_tiny_patch16_224", num_classes=0), input_size=(3, 224, 224))
    assert {"cls_token", "pos_embed"} <= set(stages[0].parameters)
    assert "norm.weight" in stages[-1].parameters  # a norm without a weight matrix is no stage of its own


def test_out_shapes_are_the_shapes_at_the_cuts() -> None:
    backbone = build_backbone("resnet18", weights="none", image_size=64)
    shapes = [stage.out_shape for stage in backbone.stages]  # by hand: stride 4, then 1, 2, 2, 2 and the global pool
    assert shapes == [(64, 16, 16), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512,)]


def test_dropout_inside_a_stage_still_follows_the_mode() -> None:
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Dropout(0.5)), nn.Sequential(nn.Conv2d(8, 4, 1)))
    model = nn.Sequential(model, nn.Flatten())
    stages = split_into_stages(model, input_size=(3, 4, 4))
    images = torch.ones(2, 3, 4, 4)

    def forward() -> Tensor:
        x = images
        for stage in stages:
            x = stage.forward(model, x)
        return x

    model.eval()
    assert torch.equal(forward(), forward())
    model.train()
    assert not torch.equal(forward(), forward())


def test_a_model_with_data_dependent_control_flow_is_refused_in_one_line() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"Branching cannot be cut into stages .*; choose another model\.name") as error:
        split_into_stages(Branching(), input_size=(3, 4, 4))
    assert "\n" not in str(error.value)


def test_a_model_that_changes_a_list_in_place_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"HighResolutionNet cannot be cut into stages \(its forward changes a list in place\); choose"
    ):
        build_backbone("hrnet_w18_small", weights="none", image_size=64)


def test_an_image_size_that_the_model_cannot_take_is_named() -> None:
    with pytest.raises(
        UserError, match=r"model\.image_size=8: ConvNeXt cannot take .*; leave it null for the model's own"
    ):
        build_backbone("convnext_atto", weights="none", image_size=8)


def test_cut_out_of_range_names_the_number_of_stages(tiny_backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"cut=8: test_resnet has 7 stages; allowed are 0\.\.7"):
        tiny_backbone.prefix(torch.zeros(1, 3, 32, 32), 8)

"""Normalisation, pooling and modes of the backbone."""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from thawline.errors import UserError
from thawline.models.backbone import Backbone, build_backbone
from thawline.models.pooling import CLASS_TOKEN


def test_normalize_by_hand() -> None:
    backbone = build_backbone("tf_efficientnet_lite0", weights="none", image_size=32)  # mean and std 0.5
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    out = backbone.normalize(images)
    assert out.dtype == torch.float32
    assert out[0].eq(-1.0).all()
    assert out[1].eq(1.0).all()
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("name", "size", "axes"),
    [("resnet18", 64, (2, 3)), ("swin_tiny_patch4_window7_224", 224, (1, 2)), ("vit_tiny_patch16_224", 32, (1,))],
)
def test_pooled_features_average_over_space_not_channels(name: str, size: int, axes: tuple[int, ...]) -> None:
    backbone = build_backbone(name, weights="none", image_size=size).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        activations = backbone.prefix(images, 2)
        placed = activations[:, 1:] if axes == (1,) else activations  # a class token has no place
        torch.testing.assert_close(backbone.pool(activations), placed.mean(axes))
        torch.testing.assert_close(backbone.pool(backbone(images)), backbone(images))


def test_train_reaches_only_the_stages_that_train(tiny_backbone: Backbone) -> None:
    tiny_backbone.training_stages = frozenset({6})
    tiny_backbone.train()
    assert not tiny_backbone.model.layer1.training
    assert all(m.training for m in tiny_backbone.model.layer4[0].modules())
    assert not any(m.training for m in tiny_backbone.model.layer1.modules())
    tiny_backbone.eval()
    assert not tiny_backbone.model.layer4.training


def test_holds_batchnorm_by_stage(tiny_backbone: Backbone) -> None:
    assert tiny_backbone.holds_batchnorm({6})
    assert not tiny_backbone.holds_batchnorm(())
    assert not build_backbone("vit_tiny_patch16_224", weights="none", image_size=32).holds_batchnorm(range(12))


def test_frozen_prefix_counts_leading_frozen_stages(tiny_backbone: Backbone) -> None:
    for training, expected in [
        (frozenset[int](), 7),
        (frozenset({5, 6}), 5),
        (frozenset({2, 6}), 2),
        (frozenset(range(7)), 0),
    ]:
        tiny_backbone.training_stages = training
        assert tiny_backbone.frozen_prefix == expected


def test_averages_over_cells_by_hand(tiny_backbone: Backbone) -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert tiny_backbone.pool(x, grid=2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert tiny_backbone.pool(x, grid=1).tolist() == [[7.5]]
    assert tiny_backbone.pool(torch.ones(1, 3, 1, 1), grid=2).shape == (1, 3)  # one position makes one cell


def test_class_tokens_have_no_place_in_a_grid() -> None:
    backbone = build_backbone("vit_tiny_patch16_224", weights="none", image_size=64)  # 4 x 4 patches and a class token
    tokens = torch.cat([torch.full((1, 1, 1), 99.0), torch.arange(16.0).view(1, 16, 1)], 1)
    assert backbone.pool(tokens, grid=2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert backbone.pool(tokens, grid=1).tolist() == [[7.5]]
    assert backbone.pool(tokens, grid=CLASS_TOKEN).tolist() == [[99.0]]
    assert [backbone.class_token_at(cut) for cut in (1, 2, backbone.num_stages)] == [False, True, False]


def test_channels_last_maps_are_pooled_over_their_cells() -> None:
    backbone = build_backbone("swin_tiny_patch4_window7_224", weights="none", image_size=224)
    x = torch.arange(16.0).view(1, 4, 4, 1)
    assert backbone.pool(x, grid=2).tolist() == [[2.5, 4.5, 10.5, 12.5]]


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224"])
def test_the_width_of_pooled_features_is_known_before(name: str) -> None:
    backbone = build_backbone(name, weights="none", image_size=64).eval()
    with torch.no_grad():
        for cut in range(1, backbone.num_stages + 1):
            activations = backbone.prefix(torch.zeros(1, 3, 64, 64), cut)
            for grid in (1, 2):
                assert backbone.pooled_width(cut, grid=grid) == backbone.pool(activations, grid=grid).shape[1]


def test_a_backbone_by_name_is_the_one_that_is_built(tmp_path: Path) -> None:
    torch.manual_seed(0)
    built = build_backbone("test_resnet", weights="none", image_size=32)
    torch.manual_seed(0)
    named = Backbone("test_resnet", weights="none", image_size=32)
    assert all(torch.equal(a, b) for a, b in zip(built.parameters(), named.parameters(), strict=True))
    save_file(
        {key: tensor.contiguous() for key, tensor in named.model.state_dict().items()}, tmp_path / "weights.safetensors"
    )
    loaded = Backbone("test_resnet", weights=tmp_path / "weights.safetensors", image_size=32)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), named.parameters(), strict=True))
    assert (named.name, named.num_stages) == ("test_resnet", 7)


def test_a_timm_model_keeps_its_name_its_size_and_its_weights() -> None:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2)
    backbone = Backbone(model)
    assert (backbone.name, backbone.input.size, backbone.model) == ("vit_tiny_patch16_224", 32, model)
    assert backbone.num_features == 192


def test_what_makes_no_backbone_is_told() -> None:
    with pytest.raises(UserError, match=r"resnet10t contains a classifier of 1000 classes; make it with num_classes=0"):
        Backbone(timm.create_model("resnet10t"))
    with pytest.raises(UserError, match="weights=hub: has no effect beside a model that is there"):
        Backbone(timm.create_model("resnet10t", num_classes=0), weights="hub")


@pytest.mark.parametrize(("height", "width"), [(7, 7), (8, 8), (5, 9), (1, 6)])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_cells_are_those_of_adaptive_pooling_and_means_are_fp32(
    tiny_backbone: Backbone, height: int, width: int, grid: int
) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    expected = F.adaptive_avg_pool2d(maps.float(), (min(grid, height), min(grid, width))).flatten(1)
    pooled = tiny_backbone.pool(maps, grid=grid)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("side", [6, 7])
def test_pooling_at_several_grids_at_once_gives_what_each_gives_alone(tiny_backbone: Backbone, side: int) -> None:
    x = torch.randn(3, 5, side, side)
    pooled = tiny_backbone.pools(x, [2, 1, 3])
    assert list(pooled) == [2, 1, 3]
    for grid, rows in pooled.items():
        assert torch.equal(rows, tiny_backbone.pool(x, grid=grid))  # bit for bit, so that a store fits either way
        torch.testing.assert_close(rows, torch.nn.functional.adaptive_avg_pool2d(x, grid).flatten(1))

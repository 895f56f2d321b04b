"""Normalisation, pooling and modes of the backbone."""

import pytest
import torch

from thawline.models.backbone import Backbone, build_backbone


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
        torch.testing.assert_close(backbone.pool(activations), activations.mean(axes))
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

"""The distance by hand, on what a backbone's own BatchNorm says, and its scale."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.advisor.distance import (
    Distances,
    batchnorm_reference,
    domain_distances,
    photo_reference,
    wasserstein2,
)
from thawline.advisor.moments import (
    Moments,
    batchnorm_moments,
    batchnorm_names,
    noise_images,
    stage_moments,
)
from thawline.models.backbone import Backbone, build_backbone


def test_wasserstein_by_hand() -> None:
    distance = wasserstein2(
        torch.tensor([3.0, 1.0]),
        torch.tensor([9.0, 4.0]),
        ref_mean=torch.tensor([1.0, 1.0]),
        ref_var=torch.tensor([4.0, 4.0]),
    )
    assert distance.tolist() == [(2.0**2 + (3.0 - 2.0) ** 2) / 4.0, 0.0]


@pytest.mark.parametrize(
    ("mean", "var", "ref_var", "says"),
    [
        ([0.0, 0.0], [1.0, 1.0], [1.0], "channels: 2, 2, 1, 1"),
        ([0.0], [-1.0], [1.0], "a variance is negative"),
        ([0.0], [1.0], [0.0], "or the reference's is 0"),
    ],
)
def test_wasserstein_refuses_what_is_no_variance(
    mean: list[float], var: list[float], ref_var: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        wasserstein2(
            torch.tensor(mean), torch.tensor(var), ref_mean=torch.zeros(len(ref_var)), ref_var=torch.tensor(ref_var)
        )


def test_moments_of_all_images_are_those_of_all_positions() -> None:
    x = torch.randn(200, 3, 10, 10, generator=torch.Generator().manual_seed(0)) * 2 + torch.arange(3).view(1, 3, 1, 1)
    moments = Moments(x.mean((2, 3)), x.square().mean((2, 3)))
    mean, var = moments.pooled(torch.full((1, 200), 1 / 200))
    torch.testing.assert_close(mean[0], x.mean((0, 2, 3)))
    torch.testing.assert_close(var[0], x.var((0, 2, 3)), rtol=1e-3, atol=1e-3)


def test_few_images_do_not_seem_to_vary_less() -> None:
    """Each image is a constant: all variance lies between images, and (N - 1) / N of it would be seen in N."""
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(4000):
        x = torch.randn(3, 1, generator=generator)
        estimates.append(Moments(x, x.square()).pooled(torch.full((1, 3), 1 / 3))[1])
    assert float(torch.cat(estimates).mean()) == pytest.approx(1.0, abs=0.05)


def calibrated(backbone: Backbone, images: Tensor) -> Backbone:
    """With the statistics of `images` in every BatchNorm, as if it had been trained on them."""
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain average
    backbone.model.train()
    with torch.no_grad():
        backbone.model(backbone.normalize(images))
    return backbone.eval()


def source_images(num_images: int, *, shift: int = 0) -> Tensor:
    """Smooth, coloured blobs, not noise."""
    generator = torch.Generator().manual_seed(3)
    small = torch.randint(0, 200, (num_images, 3, 4, 4), generator=generator).float()
    return (nn.functional.interpolate(small, size=32, mode="bicubic").clamp(0, 200) + shift).to(torch.uint8)


def by_batchnorm(backbone: Backbone, images: Tensor) -> Distances:
    target, noise = (batchnorm_moments(backbone, [x], dtype=torch.float32) for x in (images, noise_images(64, 32)))
    distances = domain_distances(target, noise, batchnorm_reference(backbone), num_stages=backbone.num_stages)
    assert distances is not None
    return distances


def by_photographs(backbone: Backbone, images: Tensor, photographs: Tensor) -> Distances:
    target, noise, photos = (
        stage_moments(backbone, [x], dtype=torch.float32) for x in (images, noise_images(64, 32), photographs)
    )
    distances = domain_distances(target, noise, photo_reference(backbone, photos), num_stages=backbone.num_stages)
    assert distances is not None
    return distances


def test_the_source_lies_at_0_and_noise_at_1(tiny_backbone: Backbone) -> None:
    source = source_images(64)
    backbone = calibrated(tiny_backbone, source)
    near, far = by_batchnorm(backbone, source), by_batchnorm(backbone, source_images(64, shift=55))
    same = by_batchnorm(backbone, noise_images(64, 32))
    assert near.overall.value < 0.01
    assert near.overall.value < far.overall.value < 1.0
    assert same.overall.value == pytest.approx(1.0)
    assert [reading.value for reading in same.stages if reading] == pytest.approx([1.0] * 7)
    assert far.overall.low <= far.overall.value <= far.overall.high


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto"])
def test_without_batchnorm_photographs_stand_in_for_the_source(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, weights="none", image_size=32).eval()
    assert batchnorm_reference(backbone) == {}
    photographs = source_images(64)
    near = by_photographs(backbone, photographs, photographs)
    far = by_photographs(backbone, source_images(64, shift=55), photographs)
    noise = by_photographs(backbone, noise_images(64, 32), photographs)
    assert near.overall.value < 0.01 < far.overall.value
    assert noise.overall.value == pytest.approx(1.0)
    assert len(near.stages) == backbone.num_stages


def test_every_batchnorm_belongs_to_the_stage_that_calls_it(tiny_backbone: Backbone) -> None:
    names = batchnorm_names(tiny_backbone)
    assert len(names) == sum(isinstance(module, _BatchNorm) for module in tiny_backbone.modules())
    assert {names[name] for name in names if name.startswith("layer4")} == {6}
    layers = batchnorm_reference(tiny_backbone)
    assert {name: layer.stage for name, layer in layers.items()} == names


@pytest.mark.parametrize("moments", [batchnorm_moments, stage_moments])
def test_batches_do_not_matter(tiny_backbone: Backbone, moments: Callable[..., dict[str, Moments]]) -> None:
    backbone, images = calibrated(tiny_backbone, source_images(16)), source_images(16, shift=20)
    whole = moments(backbone, [images], dtype=torch.float32)
    parts = moments(backbone, images.split(5), dtype=torch.float32)
    for name, of_stage in whole.items():
        torch.testing.assert_close(parts[name].mean, of_stage.mean, rtol=1e-4, atol=1e-5)


def test_moments_of_a_stage_are_those_of_its_output(tiny_backbone: Backbone) -> None:
    backbone, images = tiny_backbone.eval(), source_images(4)
    moments = stage_moments(backbone, [images], dtype=torch.float32)
    with torch.no_grad():
        third = backbone.prefix(backbone.normalize(images), 3)
    torch.testing.assert_close(moments[backbone.stages[2].name].mean, third.mean((2, 3)))
    torch.testing.assert_close(moments[backbone.stages[2].name].square, third.square().mean((2, 3)))


def test_without_a_reference_there_is_no_distance() -> None:
    assert domain_distances({}, {}, {}, num_stages=3) is None

"""Order and random views are functions of (seed, epoch, index)."""

import numpy as np
import torch
from PIL import Image

from thawline.data.dataset import EpochSampler, SplitDataset
from thawline.data.sources.source import ImageSource
from thawline.data.transforms import eval_transform, train_transform
from thawline.models.backbone import InputSpec
from thawline.settings import AugmentSettings

SPEC = InputSpec(size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bicubic", crop_pct=0.5)
AUGMENT = AugmentSettings(min_scale=0.3, hflip=True, vflip=True, color=0.4)


def dataset(source: ImageSource, *, seed: int = 0) -> SplitDataset:
    return SplitDataset(source, np.arange(8), transform=train_transform(SPEC, AUGMENT), seed=seed)


def test_a_view_depends_on_seed_epoch_and_index_only(colours: ImageSource) -> None:
    first = dataset(colours)[(3, 5)][0]
    dataset(colours)[(3, 6)]  # what was loaded before
    torch.rand(7)  # and the state of the global generator do not matter
    assert torch.equal(dataset(colours)[(3, 5)][0], first)
    assert not torch.equal(dataset(colours)[(4, 5)][0], first)
    assert not torch.equal(dataset(colours, seed=1)[(3, 5)][0], first)


def test_loading_a_view_leaves_the_global_generator_alone(colours: ImageSource) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    dataset(colours)[(0, 0)]
    assert torch.equal(torch.rand(3), expected)


def test_images_are_uint8_and_labels_are_the_sources(colours: ImageSource) -> None:
    image, label = dataset(colours)[(0, 6)]
    assert (image.dtype, tuple(image.shape), label) == (torch.uint8, (3, 16, 16), 2)


def test_sampler_shuffles_by_epoch_and_keeps_order_without_shuffling() -> None:
    sampler = EpochSampler(50, shuffle=True, seed=1)
    first = list(sampler)
    assert list(sampler) == first
    assert sorted(index for _, index in first) == list(range(50))
    sampler.set_epoch(1)
    assert {epoch for epoch, _ in sampler} == {1}
    assert [index for _, index in sampler] != [index for _, index in first]
    assert [index for _, index in EpochSampler(4, shuffle=False, seed=1)] == [0, 1, 2, 3]


def test_eval_transform_resizes_by_crop_pct_and_crops_the_centre() -> None:
    image = Image.new("RGB", (64, 32))  # shorter side 32 = 16 / 0.5, so no resampling
    image.putpixel((32, 16), (255, 0, 0))
    out = eval_transform(SPEC)(image)
    assert out[0].nonzero().tolist() == [[8, 8]]  # the centre crop starts at x = 24, y = 8


def test_augment_none_is_the_eval_transform() -> None:
    image = Image.effect_noise((40, 30), 80).convert("RGB")
    assert torch.equal(train_transform(SPEC, AugmentSettings())(image), eval_transform(SPEC)(image))

"""Order and random views are functions of (seed, epoch, index)."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from thawline.data.dataset import EpochSampler, SplitDataset
from thawline.data.decode import decode
from thawline.data.input_spec import InputSpec
from thawline.data.keep import KeptImages
from thawline.data.sources.photo_crops import PHOTOS, photo_path
from thawline.data.sources.source import ImageSource
from thawline.data.transforms import Transform, eval_transform, train_transform
from thawline.settings.data_settings import AugmentSettings

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


class Counting:
    """A source whose `load` is counted."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.labels = source.labels
        self.num_loads = 0

    def load(self, index: int) -> Image.Image:
        self.num_loads += 1
        return self.source.load(index)


def views(source: object, augment: AugmentSettings, *, keep: KeptImages | None, num_epochs: int = 3) -> torch.Tensor:
    """All images of `num_epochs` epochs, each epoch in another order but stacked by index: (E * 8, 3, 16, 16)."""
    images = SplitDataset(
        source,  # type: ignore[arg-type]
        np.arange(8, 16),
        transform=train_transform(SPEC, augment),
        seed=0,
        random_views=augment.is_random,
        keep=keep,
    )
    epochs = []
    for epoch in range(num_epochs):
        order = np.random.default_rng(epoch).permutation(8).tolist()
        shown = {i: images[(epoch, i)][0] for i in order}
        epochs.append(torch.stack([shown[i] for i in range(8)]))
    return torch.cat(epochs)


RANDOM = AugmentSettings(min_scale=0.3, hflip=True, vflip=True, color=0.4, rand_ops=2)
both_kinds = pytest.mark.parametrize("augment", [RANDOM, AugmentSettings()], ids=["random", "fixed"])


@both_kinds
@pytest.mark.parametrize(
    ("num_kept", "num_loads"),
    [(None, 3 * 8), (0, 3 * 8), (2, 2 + 3 * 6), (math.inf, 8)],  # kept images are loaded once, others every epoch
)
def test_keeping_saves_loads_and_changes_no_view(
    colours: ImageSource, augment: AugmentSettings, num_kept: float | None, num_loads: int
) -> None:
    source = Counting(colours)
    each = 40 * 40 * 3 if augment.is_random else 3 * 16 * 16  # bytes: the source's image, or the transformed one
    keep = None if num_kept is None else KeptImages(num_kept * each)
    seen = views(source, augment, keep=keep)
    assert torch.equal(seen, views(colours, augment, keep=None))
    assert source.num_loads == num_loads
    assert torch.equal(seen[:8], seen[8:16]) is not augment.is_random


def test_changing_a_view_in_place_leaves_what_is_kept(colours: ImageSource) -> None:
    images = SplitDataset(
        colours, np.arange(8), transform=eval_transform(SPEC), seed=0, random_views=False, keep=KeptImages(math.inf)
    )
    first = images[(0, 0)][0].clone()
    for epoch in range(2):
        images[(epoch, 0)][0].zero_()
    assert torch.equal(images[(2, 0)][0], first)


def test_a_fixed_view_is_made_without_seeding(colours: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    transform: Transform = eval_transform(SPEC)
    seeded = SplitDataset(colours, np.arange(8), transform=transform, seed=0)[(0, 3)][0]
    monkeypatch.setattr("torch.random.fork_rng", None)
    fixed = SplitDataset(colours, np.arange(8), transform=transform, seed=0, random_views=False)[(0, 3)][0]
    assert torch.equal(fixed, seeded)


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


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(23, 300), (401, 40), (64, 1000), (50, 37), (53, 53), (61, 29), (30, 41)])
def test_an_image_is_cropped_as_if_it_were_resized_whole(size: tuple[int, int], interpolation: str) -> None:
    spec = replace(SPEC, interpolation=interpolation, crop_pct=0.875)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    mode = v2.InterpolationMode(interpolation)
    whole = v2.CenterCrop(16)(v2.Resize(int(16 / 0.875), interpolation=mode)(image))
    ours = eval_transform(spec)(image).permute(1, 2, 0).numpy().astype(int)
    upright = size[0] < size[1] <= 4 * size[0]  # Pillow takes columns first then, and clips between
    assert np.abs(ours - np.asarray(whole).astype(int)).max() <= (0 if upright else 1)


def test_the_part_that_stays_ends_where_the_image_ends() -> None:
    spec = replace(SPEC, crop_pct=1.0)
    for width in range(1, 400):
        assert eval_transform(spec)(Image.new("L", (width, 1 + width // 3))).shape == (1, 16, 16)


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_photographs_come_out_as_if_they_were_resized_whole(name: str) -> None:
    spec = replace(SPEC, size=224, interpolation="bicubic", crop_pct=0.875)
    photo = decode(photo_path(next(photo for photo in PHOTOS if photo.name == name))).resize((500, 375))
    whole = v2.CenterCrop(224)(v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC)(photo))
    differs = np.abs(eval_transform(spec)(photo).permute(1, 2, 0).numpy().astype(int) - np.asarray(whole).astype(int))
    assert differs.max() <= 1
    assert differs.mean() < 1e-3


def test_an_elongated_image_costs_no_gigabytes() -> None:
    image = Image.new("RGB", (4, 1_000_000))  # resized whole to a side of 256: 49 GB
    assert eval_transform(replace(SPEC, size=224))(image).shape == (3, 224, 224)


def test_pad_and_squash_show_the_whole_image() -> None:
    image = Image.new("RGB", (40, 20), "white")
    padded = eval_transform(replace(SPEC, fit="pad"))(image)
    assert (padded[:, 4:12] == 255).all()
    assert (padded[:, :4] == 128).all()  # round(255 * 0.5), the mean: 0 after normalisation
    assert (padded[:, 12:] == 128).all()
    assert (eval_transform(replace(SPEC, fit="squash"))(image) == 255).all()
    for fit in ("pad", "squash"):
        assert train_transform(replace(SPEC, fit=fit), AugmentSettings(min_scale=0.5))(image).shape == (3, 16, 16)


def test_the_fit_shows_in_the_transform() -> None:
    assert len({repr(eval_transform(replace(SPEC, fit=fit))) for fit in ("crop", "pad", "squash")}) == 3

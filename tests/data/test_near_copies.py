import io

import numpy as np
import pytest
from PIL import Image

from thawline.data import near_copies
from thawline.data.near_copies import near_copies_in, near_groups, near_pairs


def scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


def thumbs(images: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image.resize((16, 16), Image.Resampling.BOX)) for image in images])


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def noisy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image) + np.random.default_rng(9).normal(0, 8, (96, 96, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_frames_recompressed_resized_and_mirrored_copies_are_near() -> None:
    originals = [scene(seed) for seed in range(30)]
    copies = [
        noisy(originals[0]),
        recompressed(originals[1]),
        originals[2].resize((40, 40)),
        originals[3].transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    near, like = near_copies_in(thumbs(originals + copies), np.arange(30, 34), np.arange(30))
    assert near.tolist() == [30, 31, 32, 33]
    assert like.tolist() == [0, 1, 2, 3]


def test_a_scene_of_a_fixed_camera_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    background = np.asarray(scene(0).resize((16, 16))).astype(float)
    light = rng.normal(0, 4, (50, 1, 1, 1))
    images = (background + light + rng.normal(0, 3, (50, 16, 16, 3))).clip(0, 255).astype(np.uint8)
    assert not len(near_copies_in(images, np.arange(25), np.arange(25, 50))[0])


def test_near_copies_of_near_copies_share_a_group() -> None:
    originals = [scene(seed) for seed in range(20)]
    groups = near_groups(thumbs([*originals, noisy(originals[4]), recompressed(originals[4])]))
    assert groups[20] == groups[21] == groups[4]
    assert len(set(groups.tolist())) == 20


def test_no_images_have_no_copies() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert len(near_copies_in(thumbs([scene(0)]), nothing, np.arange(1))[0]) == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = thumbs([*map(scene, range(12)), noisy(scene(3)), recompressed(scene(3)), noisy(scene(9))])
    whole = near_groups(images)
    near, like = near_copies_in(images, np.arange(12, 15), np.arange(12))
    monkeypatch.setattr(near_copies, "_IMAGES_AT_ONCE", 4)
    np.testing.assert_array_equal(near_groups(images), whole)
    np.testing.assert_array_equal(near_copies_in(images, np.arange(12, 15), np.arange(12)), (near, like))
    assert like.tolist() == [3, 3, 9]


def test_the_averages_over_squares_leave_out_no_near_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies on both sides of the limit of eight grey levels; half of them differ by the same in every pixel."""
    rng = np.random.default_rng(0)
    scenes = rng.integers(40, 215, (40, 16, 16, 3))
    noise = rng.normal(0, 1, scenes.shape) * np.linspace(6, 10, 40)[:, None, None, None]
    flat = np.ones(scenes.shape) * np.linspace(6, 10, 40)[:, None, None, None]
    copies = np.concatenate([scenes + noise, scenes + flat])
    thumbs = np.concatenate([scenes, np.concatenate([copies[:40], copies[40:, :, ::-1]])]).round().astype(np.uint8)
    rows, others = near_pairs(thumbs)
    assert 20 < len(rows) < 2 * 40 + 40  # some of both kinds are beyond it
    monkeypatch.setattr(
        near_copies._Prepared, "may_be_near", lambda _, few, many, **__: np.ones((len(few), len(many)), dtype=bool)
    )
    everything = near_pairs(thumbs)
    assert sorted(zip(rows, others, strict=True)) == sorted(zip(*everything, strict=True))

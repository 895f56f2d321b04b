import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.sources import set_pixels
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.set_pixels import checked_pixels
from thawline.errors import UserError


def plant(root: Path, high: float = 4000, dtype: str = "uint16") -> Path:
    """Two classes of 12-bit images; those of b are four times as dark as those of a."""
    for name, top in (("a", high), ("b", high / 4)):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(3):
            values = np.tile(np.linspace(i * high / 100, top, 32), (32, 1)).astype(dtype)
            Image.fromarray(values).save(root / name / (f"{i}.tif" if dtype == "float32" else f"{i}.png"))
    return root


@pytest.mark.parametrize("verify", [True, False])
def test_one_range_for_all_so_that_brightness_keeps_its_meaning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, verify: bool
) -> None:
    caplog.set_level(logging.INFO)
    source = FolderSource(root=plant(tmp_path), verify=verify)
    assert source.value_range == (0, 4095)
    assert np.asarray(source.load(0)).max() == 249  # 4000 / 4095 * 255
    assert np.asarray(source.load(3)).max() == 62  # 1000 / 4095 * 255
    assert "Values of the images: 0 becomes black, 4095 white, from 6 of 6 images" in caplog.text


def test_a_given_range_is_taken_and_enters_the_fingerprint(tmp_path: Path) -> None:
    plant(tmp_path)
    sources = [FolderSource(root=tmp_path, value_range=given) for given in ("auto", [0, 2000], [0, 1000])]
    assert np.asarray(sources[1].load(3)).max() == 128
    assert len({source.fingerprint() for source in sources}) == 3


def test_a_range_without_effect_is_refused(image_folder: Path) -> None:
    with pytest.raises(UserError, match=r"data.value_range=\[0.0, 9.0\]: has no effect, every image has 8 bits"):
        FolderSource(root=image_folder, value_range=[0, 9])
    assert FolderSource(root=image_folder).value_range is None


def test_fractions_and_whole_numbers_need_a_given_range(tmp_path: Path) -> None:
    plant(plant(tmp_path), high=1.0, dtype="float32")
    with pytest.raises(UserError, match=r"a/0.png holds whole numbers, a/0.tif fractions; convert one kind, or give"):
        FolderSource(root=tmp_path)
    FolderSource(root=tmp_path, value_range=[0, 4095])


def test_images_of_8_bits_among_wider_ones_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (8, 8), 99).save(plant(tmp_path) / "a/8.png")
    FolderSource(root=tmp_path)
    assert (
        "6 of 7 images with values wider than 8 bits, first: a/0.png; those of 8 bits stay as they are" in caplog.text
    )


def test_images_that_show_nothing_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, levels in (("a", (1, 100, 120)), ("b", (2, 130, 254))):
        (tmp_path / name).mkdir()
        for level in levels:
            Image.new("L", (8, 8), level).save(tmp_path / name / f"{level}.png")
    FolderSource(root=tmp_path)
    assert "2 images come out nearly black everywhere, first: a/1.png" in caplog.text
    assert "1 image comes out nearly white everywhere, first: b/254.png" in caplog.text


def test_a_wide_image_that_comes_out_black_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FolderSource(root=plant(tmp_path), value_range=[0, 65535000])
    assert "6 images come out nearly black everywhere, first: a/0.png" in caplog.text


@pytest.mark.parametrize("value", [[3], [5, 1], "wide", [0, "x"], [True, 5]])
def test_a_wrong_range_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"give auto, or \[low,high\] with low below high"):
        checked_pixels(value, None)


@pytest.mark.parametrize("value", [[0, 1], [-1], "rgb", [0.5]])
def test_wrong_channels_are_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"give one or three numbers of channels"):
        checked_pixels("auto", value)


def test_a_wide_image_that_was_not_looked_at_is_refused(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_pixels, "_LOOKED_AT", 0)
    Image.fromarray(np.full((8, 8), 3000, dtype=np.uint16)).save(image_folder / "cats" / "00.png")
    source = FolderSource(root=image_folder, verify=False)
    with pytest.raises(UserError, match=r"wider than 8 bits, those of the images looked at are not; give"):
        source.load(0)
    source.load(1)
    given = FolderSource(root=image_folder, verify=False, value_range=[0, 4095])
    assert np.asarray(given.load(0))[0, 0, 0] == 187  # 3000 / 4095 * 255

"""Shifts by hand, on images of one colour or one edge."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thawline.data.sources.shifted import LOW_RESOLUTION, Shifted, edges, inverted, low_resolution
from thawline.data.sources.source import ImageSource
from thawline.errors import UserError


def test_inverted_by_hand() -> None:
    assert inverted(Image.new("RGB", (4, 4), (0, 100, 255))).getpixel((1, 1)) == (255, 155, 0)


def test_edges_are_bright_and_areas_black() -> None:
    pixels = np.zeros((10, 10, 3), dtype=np.uint8)
    pixels[:, 5:] = 200
    drawn = np.asarray(edges(Image.fromarray(pixels)))[2:-2]
    assert drawn[:, 5].min() == 255
    assert drawn[:, [2, 8]].max() == 0


def test_low_resolution_keeps_the_size_and_loses_detail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 120, 3), dtype=np.uint8)
    shifted = low_resolution(Image.fromarray(noise))
    assert shifted.size == (120, 240)
    assert np.asarray(shifted, dtype=float).std() < 0.3 * noise.std()
    flat = Image.new("RGB", (LOW_RESOLUTION * 2, LOW_RESOLUTION * 2), (10, 20, 30))
    assert np.array_equal(np.asarray(low_resolution(flat)), np.asarray(flat))


def test_labels_splits_and_names_are_the_sources(colours: ImageSource) -> None:
    shifted = Shifted(colours, shift="inverted")
    assert shifted.name == "colours_inverted"
    assert shifted.labels is colours.labels
    assert shifted.describe(3) == "colour 3, inverted"
    original = np.asarray(colours.load(3)).astype(int)
    assert np.array_equal(np.asarray(shifted.load(3)), 255 - original)
    prints = {colours.fingerprint(), *(Shifted(colours, shift=s).fingerprint() for s in ("inverted", "edges"))}
    assert len(prints) == 3


def test_an_unknown_shift_lists_those_there_are(colours: ImageSource, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.source.shift=blurred: allowed are inverted, edges, low_resolution"):
        Shifted(colours, shift="blurred")

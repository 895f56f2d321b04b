"""Image sizes to try: a smaller one where images are small, a larger one where they are large."""

from typing import Any

import numpy as np
import pytest

from thawline.advisor.image_sizes import short_side, sizes_around


@pytest.mark.parametrize(
    ("side", "usual", "sizes"),
    [
        (28, 224, [64, 224]),
        (8, 224, [64, 224]),
        (65, 224, [96, 224]),
        (112, 224, [128, 224]),
        (113, 224, [224]),
        (287, 224, [224]),
        (288, 224, [224, 288]),
        (2000, 240, [240, 320]),
        (20, 48, [48]),  # at 64 nothing is smaller
    ],
)
def test_sizes(side: float, usual: int, sizes: list[int]) -> None:
    assert sizes_around(side, usual) == sizes


def test_short_side_of_images(colours: Any) -> None:
    assert short_side(colours, np.arange(40)) == 40

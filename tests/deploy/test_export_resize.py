"""The resize that a graph holds, beside Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image

from thawline.data.input_spec import InputSpec
from thawline.data.transforms import eval_transform
from thawline.deploy.export_resize import PillowResize, resize_weights

SIZES = ((300, 200), (31, 47), (64, 64), (73, 73), (20, 333), (2, 2))  # heights and widths


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_levels_are_those_of_the_eval_transform_but_for_rounding(fit: str, interpolation: str) -> None:
    spec = InputSpec(64, (0.485, 0.456, 0.406), (0.2, 0.2, 0.2), interpolation, 0.875, fit)
    resize, generator = PillowResize(spec), np.random.default_rng(0)
    for size in SIZES:
        pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        wanted = eval_transform(spec)(Image.fromarray(pixels)).float()
        got = resize(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())[0]
        difference = (got - wanted).abs()
        assert float(difference.max()) <= 1
        assert float((difference > 0).float().mean()) < 0.02


def test_nearest_takes_the_pixel_under_the_centre() -> None:
    kept = torch.arange(2, dtype=torch.float64)
    weights = resize_weights(kept, 5, resized=torch.tensor(2.0, dtype=torch.float64), interpolation="nearest")
    assert weights.tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]  # centres at 1.25 and 3.75


def test_the_weights_of_halving_by_hand() -> None:
    """Bilinear, 4 -> 2: a triangle of width 4 about 1 and 3; pixel centres lie at 0.5, 1.5, 2.5, 3.5."""
    kept = torch.arange(2, dtype=torch.float64)
    weights = resize_weights(kept, 4, resized=torch.tensor(2.0, dtype=torch.float64), interpolation="bilinear")
    assert weights[0].tolist() == pytest.approx([3 / 7, 3 / 7, 1 / 7, 0])
    assert weights.sum(1).tolist() == pytest.approx([1, 1])

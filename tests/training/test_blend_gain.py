"""What a blend is expected to gain: the usual gain without evidence, the gain seen with much of it."""

import math

import pytest
import torch

from thawline.features.expected import Expected
from thawline.training import blend_gain
from thawline.training.blend_gain import USUAL_GAIN, blend_expected, expected_gain


def right(num: int, of: int) -> torch.Tensor:
    return torch.arange(of) < num


def test_few_images_leave_the_usual_gain_and_many_overrule_it() -> None:
    few, _ = expected_gain(right(3, 5), right(4, 5))
    assert few == pytest.approx(USUAL_GAIN, abs=0.002)
    many, error = expected_gain(right(50_000, 100_000), right(55_000, 100_000))
    assert many == pytest.approx(-0.05, abs=0.001)
    assert error < 0.001


def test_it_is_the_posterior_of_two_normals() -> None:
    blend, stack = torch.tensor([True] * 60 + [False] * 40), torch.tensor([True] * 50 + [False] * 50)
    seen, variance = 0.10, 0.10 * 0.90 / 100  # of a difference that is 1 ten times in a hundred
    prior = blend_gain._SPREAD**2
    mean = (USUAL_GAIN / prior + seen / variance) / (1 / prior + 1 / variance)
    assert expected_gain(blend, stack) == pytest.approx((mean, (1 / prior + 1 / variance) ** -0.5))


def test_the_interval_holds_the_doubt_about_both() -> None:
    of_stack = Expected(0.8, 0.78, 0.82, 600, "leave-one-out")
    both = blend_expected(of_stack, right(90, 120), right(90, 120))
    gain, error = expected_gain(right(90, 120), right(90, 120))
    assert both.accuracy == pytest.approx(0.8 + gain)
    assert both.high - both.accuracy == pytest.approx(math.hypot(0.02, 1.2816 * error), rel=1e-3)
    assert both.images == 600
    assert blend_expected(Expected(1.0, 0.9, 1.0, 9, "x"), right(9, 9), right(9, 9)).high == 1.0

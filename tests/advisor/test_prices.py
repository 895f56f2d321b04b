"""The price of a run by hand, from the cost of a step."""

import pytest

from thawline.advisor.options import OPTIONS
from thawline.advisor.prices import prices_of_runs
from thawline.advisor.step_cost import StepCost

COSTS = {option.name: StepCost(image_s=0.25, saved_bytes=100, trained_bytes=10) for option in OPTIONS}


def test_a_run_costs_its_pass_and_its_epochs() -> None:
    """320 images: 10 steps an epoch, so 13 epochs; each trains 320 images, validates 60 in a third of the
    time, and takes 0.2 s more."""
    prices = prices_of_runs(COSTS, num_stages=9, num_train=320, num_val=60, image_s=0.5, resident=1000)
    assert set(prices) == {option.name for option in OPTIONS}
    assert prices["full_fine_tune"].seconds == pytest.approx(380 * 0.5 + 13 * (0.25 * (320 + 20) + 0.2))
    assert prices["full_fine_tune"].memory_bytes == 1000 + 2 * 32 * 100 + 3 * 10
    assert prices["multi_layer_probe"].seconds == pytest.approx(380 * 0.5 + 3)
    assert prices["multi_layer_probe"].memory_bytes == 1000


def test_few_images_make_a_small_batch_and_few_stages_few_options() -> None:
    prices = prices_of_runs(COSTS, num_stages=3, num_train=8, num_val=2, image_s=0.0, resident=0)
    assert "partial_fine_tune_3" not in prices
    assert prices["partial_fine_tune_2"].memory_bytes == 2 * 8 * 100 + 3 * 10

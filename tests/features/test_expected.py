"""The interval that goes with an accuracy: as wide as the images that it is measured on, and those it is for, ask."""

import numpy as np
import pytest
from scipy.stats import betabinom

from thawline.features.expected import CONFIDENCE, Expected, standard_errors_apart, wilson_interval


def test_wilson_by_hand() -> None:
    low, high = wilson_interval(0.5, 100, confidence=0.95)  # (p + z2/2n -+ z sqrt(pq/n + z2/4n2)) / (1 + z2/n)
    assert (low, high) == pytest.approx((0.40383, 0.59617), abs=1e-5)


def test_the_test_images_are_a_sample_too() -> None:
    measured = Expected.of(0.8, 600, by="leave-one-out")
    on_120 = measured.on(120)
    bounds = betabinom(120, 480.5, 120.5).ppf([0.1, 0.9]) / 120
    assert (on_120.low, on_120.high) == pytest.approx(tuple(bounds))
    assert on_120.low < measured.low < measured.high < on_120.high
    assert (on_120.accuracy, on_120.images, on_120.new_images) == (0.8, 600, 120)


def test_very_many_new_images_leave_the_doubt_of_the_measurement_alone() -> None:
    measured = Expected.of(0.8, 600, by="leave-one-out")
    many = measured.on(1_000_000)
    assert (many.low, many.high) == pytest.approx((measured.low, measured.high), abs=1e-3)
    assert measured.on(0) == measured


def test_a_gain_that_is_uncertain_widens_it() -> None:
    measured = Expected.of(0.8, 600, by="leave-one-out")
    doubtful = Expected(0.8, measured.low - 0.02, measured.high + 0.02, 600, "leave-one-out")
    assert doubtful.on(120).low < measured.on(120).low
    assert doubtful.on(120).high > measured.on(120).high


def test_it_holds_the_accuracy_on_new_images_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = []
    for _ in range(400):
        share = random.uniform(0.5, 0.98)
        expected = Expected.of(random.binomial(500, share) / 500, 500, by="leave-one-out").on(150)
        held.append(expected.low <= random.binomial(150, share) / 150 <= expected.high)
    assert CONFIDENCE - 0.03 < np.mean(held) < CONFIDENCE + 0.10  # whole numbers of images make it a little wider


def test_two_proportions_by_hand() -> None:
    apart = standard_errors_apart(0.9, 100, other=0.8, num_others=100)
    assert apart == pytest.approx(0.1 / (0.85 * 0.15 * 0.02) ** 0.5)

"""Means with intervals, paired differences and Pareto fronts, by hand."""

import math

import pytest

from thawline.report.estimates import Estimate, estimate, paired_difference, pareto_front


def test_the_interval_lies_within_the_values_and_around_the_mean() -> None:
    interval = estimate([0.70, 0.71, 0.75])
    assert interval.mean == pytest.approx(0.72)
    assert interval.low is not None
    assert interval.high is not None
    assert 0.70 - 1e-9 <= interval.low < 0.72 < interval.high <= 0.75 + 1e-9
    assert interval == estimate([0.70, 0.71, 0.75])  # the same draws every time


def test_of_three_values_the_ends_are_those_of_all_resamples() -> None:
    """27 resamples of 0, 0, 3: means 0 (8 of 27), 1 (12), 2 (6), 3 (1 of 27, 3.7 %, so above the upper 2.5 %)."""
    assert estimate([0.0, 0.0, 3.0]) == Estimate(1.0, 0.0, 3.0, 3)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "0.500"),
        ([], "-"),
        ([math.nan], "-"),
        ([0.5, 0.5], "0.500 (0.500 to 0.500)"),
        ([math.nan, 0.5], "0.500"),
    ],
)
def test_few_values(values: list[float], text: str) -> None:
    assert estimate(values).text() == text


def test_differences_are_of_the_same_seeds() -> None:
    interval = paired_difference({0: 0.8, 1: 0.9, 7: 0.1}, {0: 0.7, 1: 0.8, 2: 0.0})
    assert (interval.mean, interval.num) == (pytest.approx(0.1), 2)
    assert paired_difference({0: 0.8}, {0: 0.7}).text(signed=True) == "+0.100"
    assert paired_difference({0: 0.8}, {1: 0.7}).text(signed=True) == "-"


def test_the_front_is_what_nothing_beats() -> None:
    costs, scores = [1.0, 2.0, 2.0, 3.0, 4.0], [0.5, 0.7, 0.6, 0.7, 0.9]
    assert pareto_front(costs, scores) == [True, True, False, False, True]
    assert pareto_front(costs, scores, higher_is_better=False) == [True, False, False, False, False]
    assert pareto_front([1.0, 1.0], [0.5, 0.5]) == [True, True]  # equals do not beat each other

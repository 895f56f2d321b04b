"""Scores of answers against values worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from thawline.deploy.evaluated import called_unknown
from thawline.deploy.evaluation import confused_pairs, scores, share, thresholds
from thawline.deploy.evaluation_text import accept_line, percent
from thawline.deploy.paired_models import paired

NAMES = ("a", "b", "c")
P = np.array(
    [
        [0.79, 0.11, 0.10],
        [0.30, 0.61, 0.09],  # an a, taken for b
        [0.20, 0.70, 0.10],
        [0.10, 0.85, 0.05],
        [0.35, 0.45, 0.20],  # a c, taken for b
    ]
)
LABELS = np.array([0, 0, 1, 1, 2])


def test_five_answers_worked_out_by_hand() -> None:
    got = scores(np.log(P), LABELS, NAMES)
    assert (got.accuracy.count, got.accuracy.of) == (3, 5)
    # Wilson at 3 of 5: (0.6 + 0.38415 -+ 1.95996 sqrt(0.048 + 0.038415)) / 1.7683
    assert (got.accuracy.low, got.accuracy.high) == pytest.approx((0.23072, 0.88238), abs=1e-4)
    assert got.balanced_accuracy == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert got.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert got.log_loss == pytest.approx(-sum(math.log(p) for p in (0.79, 0.30, 0.70, 0.85, 0.20)) / 5)
    assert got.auroc == pytest.approx((5 / 6 + 1 + 1) / 3)  # of a: 0.30 is below 0.35, the other five pairs are right
    assert got.calibration.after == pytest.approx((0.21 + 0.61 + 0.30 + 0.15 + 0.45) / 5)  # a bin for each
    assert got.calibration.before == got.calibration.after
    assert got.confusion == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    a, b, c = got.classes
    assert (a.precision.value, a.recall.value, a.f1) == pytest.approx((1, 1 / 2, 2 / 3))
    assert (b.precision.value, b.recall.value, b.f1) == pytest.approx((1 / 2, 1, 2 / 3))
    assert c.precision.value is None  # nothing was taken for c
    assert (c.recall.value, c.f1) == (0, 0)


def test_the_error_without_the_temperature_is_that_of_the_models_own_answers() -> None:
    plain = scores(np.log(P), LABELS, NAMES).calibration
    sharper = 3 * np.log(P) - np.log((P**3).sum(1, keepdims=True))
    got = scores(sharper, LABELS, NAMES, temperature=3.0).calibration
    assert got.before == pytest.approx(plain.after)
    assert got.after == pytest.approx(scores(sharper, LABELS, NAMES).calibration.after)


def test_the_interval_of_f1_is_that_of_its_share_of_images() -> None:
    one = scores(np.log(P), LABELS, NAMES).classes[1]
    j = share(2, 4)  # TP 2, FP 2, FN 0
    assert (one.f1_low, one.f1_high) == pytest.approx((2 * j.low / (1 + j.low), 2 * j.high / (1 + j.high)))
    assert one.f1_low < one.f1 < one.f1_high


def test_confused_pairs_have_the_most_images_first() -> None:
    pairs = confused_pairs([[5, 1, 3], [0, 9, 1], [0, 0, 2]], NAMES)
    assert [(truth, label, of.count, of.of) for truth, label, of in pairs] == [
        ("a", "c", 3, 9),
        ("a", "b", 1, 9),
        ("b", "c", 1, 10),
    ]
    assert confused_pairs([[5, 0], [0, 9]], NAMES[:2]) == []


def test_a_threshold_is_the_lowest_that_reaches_its_goal() -> None:
    confidence = np.linspace(1.0, 0.5, 20)
    right = np.array([True] * 15 + [False] * 5)
    by_goal = {one.goal: one for one in thresholds(confidence, right)}
    assert by_goal.keys() == {0.9, 0.995}  # 0.95 to 0.99 need the same threshold as 0.995: told once
    assert (by_goal[0.9].accepted.count, by_goal[0.9].right.count) == (16, 15)
    assert by_goal[0.9].probability == confidence[15]
    assert accept_line(by_goal[0.995]) == "p >= 0.631: 75 % of images at 100 % (15 of 15, 0.796 to 1.000)"


def test_equal_probabilities_pass_together_and_few_images_make_no_threshold() -> None:
    confidence = np.array([0.9] * 12 + [0.5] * 8)
    assert thresholds(confidence, np.array([True] * 11 + [False] + [True] * 8)) == []  # 11 of the 12 is no choice
    assert thresholds(np.linspace(1, 0.5, 12), np.array([True] * 8 + [False] * 4)) == []  # eight images are too few
    assert thresholds(confidence, np.ones(20, dtype=bool)) == []  # all are right: accept all


def test_risk_coverage_ends_at_all_images_and_the_accuracy() -> None:
    got = scores(np.log(P), LABELS, NAMES)
    expected = [(0.2, 1), (0.4, 1), (0.6, 1), (0.8, 3 / 4), (1.0, 3 / 5)]  # 0.85, 0.79, 0.70, 0.61, 0.45
    assert np.array(got.risk_coverage) == pytest.approx(np.array(expected))


@pytest.mark.filterwarnings("error")
def test_one_class_of_images_has_no_auroc() -> None:
    got = scores(np.log(P[:2]), LABELS[:2], NAMES)
    assert (got.auroc, got.balanced_accuracy, got.macro_f1) == (None, 0.5, pytest.approx(2 / 3))
    assert got.classes[2].recall.value is None


def test_mcnemar_by_hand() -> None:
    this = np.array([True] * 8 + [False] * 2 + [True] * 70 + [False] * 20)
    other = np.array([False] * 8 + [True] * 2 + [True] * 70 + [False] * 20)
    got = paired(this, other)
    assert (got.both, got.only_this, got.only_other, got.neither, got.images) == (70, 8, 2, 20, 100)
    assert got.p_value == pytest.approx(2 * (1 + 10 + 45) / 1024)  # two sides of at most 2 of 10 by a fair coin
    assert got.difference == pytest.approx(0.06)
    error = math.sqrt(11 - 36 / 102) / 102  # Agresti and Min: half an image more in each of the four counts
    assert (got.low, got.high) == pytest.approx((6 / 102 - 1.96 * error, 6 / 102 + 1.96 * error), abs=1e-5)


def test_equal_answers_are_no_difference() -> None:
    got = paired(np.array([True, False]), np.array([True, False]))
    assert (got.difference, got.p_value) == (0, 1)
    assert got.low < 0 < got.high


def test_percent_says_100_only_for_all() -> None:
    assert [percent(v) for v in (1.0, 0.9999, 0.98, 0.714)] == ["100 %", "99.9 %", "98 %", "71.4 %"]


def test_the_share_called_unknown_comes_first_and_the_command_is_whole(tmp_path: Path) -> None:
    said = called_unknown(share(3, 120), made_for=0.05, folder=Path("out/my run"), images=tmp_path)
    assert said == (
        "2.5 % of these images of known classes are called unknown by `predict --unknown` (0.009 to 0.071, 3 of 120); "
        "the threshold is made for 5 % at most; to look at them: thawline predict 'out/my run' "
        f"{tmp_path} --unknown --copy-to sorted, then see sorted/unknown"
    )
    assert "predict out " not in called_unknown(share(0, 9), made_for=0.05, folder=Path("out"), images=tmp_path)

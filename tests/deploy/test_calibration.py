"""Temperature, calibration error and prediction sets, against values by hand and the coverage that theory promises."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from thawline.deploy import calibration as module
from thawline.deploy.calibration import (
    Judged,
    achieved,
    calibrate,
    set_threshold,
)
from thawline.deploy.description import Calibration
from thawline.deploy.prediction_sets import in_set


def test_the_threshold_by_hand() -> None:
    right = torch.linspace(0.1, 1.0, 10)  # 10 images: the ceil(11 * 0.9) = 10th largest, which is the least
    assert set_threshold(right) == pytest.approx(0.1)
    assert set_threshold(right, coverage=0.5) == pytest.approx(0.5)  # ceil(5.5) = 6th largest
    assert set_threshold(right[:8]) == 0.0  # ceil(8.1) = 9 of 8: only all classes keep the promise


def test_sets_hold_the_likeliest_class_and_all_above_the_threshold() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.34, 0.33, 0.33], [0.1, 0.1, 0.8]])
    assert in_set(p, 0.3).tolist() == [[True, True, False], [True, True, True], [False, False, True]]
    assert in_set(p, 0.9).sum(1).tolist() == [1, 1, 1]


def test_new_images_are_covered_as_often_as_promised() -> None:
    generator = torch.Generator().manual_seed(0)
    covered = []
    for _ in range(200):
        scores = 3 * torch.randn(119, 4, generator=generator).double()
        labels = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
        threshold = set_threshold(scores[:59].softmax(1).gather(1, labels[:59, None])[:, 0])
        sets = scores[59:].softmax(1) >= threshold
        covered.append(float(sets.gather(1, labels[59:, None]).double().mean()))
    mean, error = torch.tensor(covered).mean(), torch.tensor(covered).std() / math.sqrt(200)
    # exact: ceil(60 * 0.9) / 60 = 0.9 for continuous scores; four standard errors
    assert abs(float(mean) - 0.9) < 4 * float(error)


def test_overconfident_answers_are_cooled_and_the_error_falls() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(4000, 3, generator=generator)
    labels = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
    sure = (4 * scores).log_softmax(1)
    calibration = calibrate(Judged(sure[:2000], labels[:2000], by="validation"))
    assert calibration.temperature == pytest.approx(0.25, rel=0.1)
    assert (calibration.images, calibration.by) == (2000, "validation")
    got = achieved(calibration, sure[2000:], labels[2000:])
    assert got.error.before > 0.15
    assert got.error.after < 0.04
    assert not got.error.is_worse
    assert abs(got.coverage - 0.9) < 0.03  # three standard errors: of 2,000 images in the threshold, and in the test
    assert got.low < got.coverage < got.high
    assert 1.0 <= got.mean_size < 3.0
    assert got.by_class is not None
    assert 0.85 < got.by_class.low < got.by_class.share < got.by_class.high < 0.95
    assert got.by_class.images == 2000


def test_the_interval_by_class_is_of_images_whose_class_has_a_threshold() -> None:
    calibration = Calibration(1.0, 30, "validation", set_threshold=0.5, class_thresholds=[0.5, 0.0, 0.28])
    p = torch.tensor([[0.6, 0.1, 0.3]] * 3 + [[0.4, 0.35, 0.25]] * 2)
    got = achieved(calibration, p.log(), torch.tensor([0, 1, 2, 2, 0]))
    assert got.by_class is not None  # 0 and 2 are held, then 2 is not, then 0, the likeliest, is
    assert (got.by_class.share, got.by_class.images) == (0.75, 4)
    low, high = (
        0.3006,
        0.9544,
    )  # Wilson's for 3 of 4, by hand: (0.75 + z^2/8 -+ z sqrt(0.046875 + z^2/64)) / (1 + z^2/4)
    assert (got.by_class.low, got.by_class.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    few = replace(calibration, class_thresholds=[0.0] * 3)
    assert achieved(few, p.log(), torch.tensor([0, 1, 2, 2, 0])).by_class is None


def test_it_is_measured_in_blocks_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(50, 4, generator=generator), torch.randint(4, (50,), generator=generator)
    calibration = calibrate(Judged(scores, labels, by="validation"))
    whole, sizes, measured = achieved(calibration, scores, labels), [], module._measured

    def counted(*block: Any) -> tuple[torch.Tensor, ...]:
        sizes.append(len(block[2]))
        return measured(*block)

    monkeypatch.setattr(module, "_measured", counted)
    monkeypatch.setattr(module, "_VALUES_AT_ONCE", 70)
    assert achieved(calibration, scores, labels) == whole
    assert sizes == [17, 17, 16]


def test_a_class_with_too_few_images_is_in_every_set() -> None:
    scores = torch.zeros(30, 2).log_softmax(1)
    labels = torch.tensor([0] * 22 + [1] * 8)
    thresholds = calibrate(Judged(scores, labels, by="validation")).class_thresholds
    assert thresholds is not None
    assert thresholds[0] > 0
    assert thresholds[1] == 0.0  # eight: its ninth largest would be needed


def test_of_equally_frequent_classes_each_counts_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 90 + [1] * 10)
    logs = (torch.randn(100, 2, generator=generator) + 1.5 * torch.eye(2)[labels]).log_softmax(1)
    repeated = torch.cat([torch.arange(90), torch.arange(90, 100).repeat(9)])  # as many of each class
    equal = calibrate(Judged(logs, labels, by="validation"), prior="equal")
    # half an image of no class is added to 100 images here, so to 180 there its weight is larger by 1.8
    alike = calibrate(Judged(logs[repeated], labels[repeated], by="validation"))
    assert equal.temperature == pytest.approx(alike.temperature, rel=0.05)
    assert equal.temperature != pytest.approx(calibrate(Judged(logs, labels, by="validation")).temperature, rel=0.05)
    assert (equal.prior, alike.prior) == ("equal", "training")
    assert equal.set_threshold != alike.set_threshold  # the sets promise for images as they come
    error = achieved(equal, logs, labels).error.before
    assert error == pytest.approx(achieved(alike, logs[repeated], labels[repeated]).error.before, abs=1e-6)

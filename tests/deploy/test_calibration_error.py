"""The calibration error: by hand, against torchmetrics, and what chance makes of it."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from thawline.deploy.calibration_error import calibration_error, compared, error_line, worse_line

Pair = tuple[np.ndarray, np.ndarray]


def answers(number: int, *, sharpness: float, seed: int = 0) -> Pair:
    """Probabilities of the answers, and whether they are right; perfect where the sharpness is 1."""
    generator = np.random.default_rng(seed)
    p = 0.5 + 0.5 * generator.beta(3, 1, number)
    right = generator.random(number) < p
    return p**sharpness / (p**sharpness + (1 - p) ** sharpness), right


def test_by_hand() -> None:
    # two at 0.9, one right: |0.5 - 0.9|; two at 0.6, one right: |0.5 - 0.6|; each bin is half of the images
    error = calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, False, True, False]))
    assert error == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


@pytest.mark.parametrize(("number", "classes"), [(40, 2), (300, 5), (2000, 11)])
def test_torchmetrics_gives_the_same(number: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(number)
    p = (3 * torch.randn(number, classes, generator=generator).double()).softmax(1)
    labels = torch.randint(classes, (number,), generator=generator)
    expected = multiclass_calibration_error(p, labels, num_classes=classes, n_bins=15, norm="l1")
    got = calibration_error(p.amax(1).numpy(), (p.argmax(1) == labels).numpy())
    assert got == pytest.approx(float(expected), abs=1e-6)


def test_the_interval_holds_the_true_error_about_as_often_as_it_says() -> None:
    truth = calibration_error(*answers(1_000_000, sharpness=2.0))
    inside = 0
    for seed in range(20):
        p, right = answers(150, sharpness=2.0, seed=seed + 1)
        got = compared(p, right, p)
        assert got.low <= got.after <= got.high
        inside += got.low <= truth <= got.high
    assert inside >= 16


def test_perfect_probabilities_have_an_error_of_chance_and_an_interval_from_zero() -> None:
    p, right = answers(60, sharpness=1.0, seed=3)
    got = compared(p, right, p)
    assert got.low == 0.0
    assert got.by_chance == pytest.approx(got.after, abs=0.05)
    assert got.by_chance > 0.03  # although nothing is wrong with them
    assert compared(*answers(5000, sharpness=1.0), answers(5000, sharpness=1.0)[0]).by_chance < 0.02
    assert error_line(got).endswith(f"perfect probabilities would have {got.by_chance:.4f} on 60 images")


def test_a_temperature_that_harms_is_told_and_whether_that_may_be_chance() -> None:
    plain, right = answers(2000, sharpness=1.0)
    sharper = answers(2000, sharpness=3.0)[0]
    harmed = compared(sharper, right, plain)
    assert harmed.is_worse
    assert harmed.change_low > 0
    assert str(worse_line(harmed)).endswith("which is more than chance")
    assert worse_line(compared(plain, right, sharper)) is None
    few = compared(sharper[:25], right[:25], answers(25, sharpness=2.7)[0])
    assert few.is_worse == (worse_line(few) is not None)
    alike = compared(p := answers(25, sharpness=1.01)[0], answers(25, sharpness=1.0)[1], answers(25, sharpness=1.0)[0])
    assert len(p) == alike.images
    assert not alike.is_worse or "may be chance" in str(worse_line(alike))

"""Which images the accuracies are of: folds and validation images together, unless they differ."""

import pytest
import torch
from torch import Tensor

from thawline.advisor.evidence import SHIFTED_FROM, Evidence, evidence_of, standard_errors_apart
from thawline.advisor.pilot import Pilot
from thawline.advisor.profile import DepthProfile, HeldOut
from thawline.features.ridge import ProbeScore


def right(number: int, of: int) -> Tensor:
    return torch.arange(of) < number


def score(number: int, of: int) -> ProbeScore:
    return ProbeScore(right(number, of), 1.0)


def evidence(*, all_held_out: int) -> Evidence:
    """Of 100 images in folds 90 are right, by the last stage 80, by the pilot 85; of 50 others so many, 40 and 35."""
    held_out = HeldOut(last=score(40, 50), all_stages=score(all_held_out, 50))
    probes = {1: [score(80, 100)], 2: [score(80, 100)]}
    profile = DepthProfile(("only",), probes, score(90, 100), None, held_out, num_images=100, majority=0.3)
    return evidence_of(profile, Pilot(right(85, 100), right(35, 50)), num_train=120, num_classes=4)


def test_folds_and_validation_images_count_together() -> None:
    found = evidence(all_held_out=45)
    assert not found.shifted
    assert (found.last, found.all_stages, found.pilot) == (120 / 150, 135 / 150, 120 / 150)
    assert (found.num_probed, found.num_train, found.majority, found.distance) == (150, 120, 0.3, None)


def test_validation_images_that_differ_count_alone() -> None:
    found = evidence(all_held_out=30)
    assert found.shifted
    assert (found.last, found.all_stages, found.pilot) == (0.8, 0.6, 0.7)
    assert found.num_probed == 50


def test_standard_errors_by_hand() -> None:
    """90 of 100 against 30 of 50: share 0.8, error sqrt(0.16 * 0.03) = 0.0693; 0.3 / 0.0693 = 4.33."""
    assert standard_errors_apart(right(90, 100), right(30, 50)) == pytest.approx(4.330, abs=1e-3)
    assert standard_errors_apart(right(5, 5), right(3, 3)) == 0.0
    assert SHIFTED_FROM == 3.0

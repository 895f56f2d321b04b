"""What is expected on a new task, from sweeps made up so that the answer is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from thawline.advisor.evidence import Evidence
from thawline.advisor.experience import Expected, Measured, expect, load_measured
from thawline.advisor.options import OPTIONS


def evidence(*, distance: float | None = 0.5, last: float = 0.8, pilot: float | None = 0.8) -> Evidence:
    return Evidence(500, 4, distance, last, all_stages=last, pilot=pilot, majority=0.25, shifted=False, num_probed=500)


def logit(accuracy: float) -> float:
    return math.log(accuracy / (1 - accuracy))


NAMES = ["feature_extraction", "multi_layer_probe", "partial_fine_tune_3"]


def made_up(gain: float = 0.0, *, catching_up: float = 0.0) -> list[Measured]:
    """Nine kinds of tasks: the probe on all stages leads the pilot by up to 0.8 logits; depth 3 gains on the pilot."""
    rows = []
    for number, lead in enumerate(np.linspace(0.0, 0.8, 9)):
        pilot = logit(0.8) - lead
        reached = accuracy_at(pilot + gain + catching_up * (lead - 0.4))
        accuracy = {"feature_extraction": 0.8, "multi_layer_probe": 0.8, "partial_fine_tune_3": reached}
        rows.append(Measured(f"kind{number}_x", "some", evidence(pilot=accuracy_at(pilot)), accuracy))
    return rows


def accuracy_at(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_an_option_starts_from_what_was_measured_of_it() -> None:
    here = replace(evidence(last=0.6, pilot=0.75), all_stages=0.7)
    found = expect(here, NAMES, made_up(gain=0.3))
    assert [one.option for one in found] == NAMES
    assert [found[0].accuracy, found[1].accuracy] == [pytest.approx(0.6), pytest.approx(0.7)]
    assert found[2].logit == pytest.approx(logit(0.75) + 0.3)


def test_a_lead_of_the_probe_that_was_caught_up_with_elsewhere_counts_here() -> None:
    near, far = (expect(evidence(pilot=p), NAMES[2:], made_up(catching_up=1.0))[0] for p in (0.79, 0.65))
    assert near.logit - logit(0.79) < -0.1 < 0.1 < far.logit - logit(0.65)


def test_beyond_what_was_seen_nothing_is_extrapolated() -> None:
    """A lead of 0.8 logits is the largest that was seen; one of 2 gains no more."""
    seen, beyond = (
        expect(evidence(pilot=accuracy_at(logit(0.8) - lead)), NAMES[2:], made_up(catching_up=1.0))[0]
        for lead in (0.8, 2.0)
    )
    assert beyond.logit - (logit(0.8) - 2.0) == pytest.approx(seen.logit - (logit(0.8) - 0.8))


def test_without_a_pilot_the_usual_distance_from_the_last_stage_is_taken() -> None:
    rows = made_up(gain=0.3)  # the pilot lies 0.4 logits below the last stage on average
    (found,) = expect(evidence(last=0.9, pilot=None), NAMES[2:], rows)
    assert found.logit == pytest.approx(logit(0.9) - 0.4 + 0.3)


def made(logit: float, residuals: list[float], *, start: str = "pilot", sampling_error: float = 0.0) -> Expected:
    return Expected("some", logit, start, sampling_error, np.array(residuals))


def test_bounds_leave_a_thirteenth_of_the_errors_on_each_side() -> None:
    """Residuals 0.0, 0.1 to 4.0: the 7.5 % and 92.5 % quantiles are 0.3 and 3.7; but the middle lies between."""
    errors = [number / 10 for number in range(41)]
    low, high = made(0.0, [error - 2.0 for error in errors]).interval()
    assert (logit(low), logit(high)) == (pytest.approx(-1.7), pytest.approx(1.7))
    low, high = made(0.0, errors).interval()
    assert (low, logit(high)) == (0.5, pytest.approx(3.7))


def test_few_images_widen_the_bounds() -> None:
    """Errors of 0.3 elsewhere, and 1.4395 standard errors of 0.4 / 1.4395 here: their root sum of squares is 0.5."""
    low, high = made(0.0, [-0.3, 0.3] * 20, sampling_error=0.4 / 1.4395).interval()
    assert (logit(low), logit(high)) == (pytest.approx(-0.5, abs=1e-4), pytest.approx(0.5, abs=1e-4))


def test_the_sampling_error_is_that_of_a_share() -> None:
    """0.8 of 600 images: 1 / sqrt(600 * 0.8 * 0.2); none of them wrong counts as half of one."""
    seen = evidence(last=0.8)
    found = {one.option: one for one in expect(seen, NAMES, made_up())}
    assert found["feature_extraction"].start == "last"
    assert found["feature_extraction"].sampling_error == pytest.approx(1 / math.sqrt(seen.num_probed * 0.8 * 0.2))
    assert found["multi_layer_probe"].start == "all_stages"
    assert found[NAMES[-1]].start == "pilot"
    (perfect, *_) = expect(evidence(last=1.0), NAMES, made_up())
    half = 0.5 / seen.num_probed
    assert perfect.sampling_error == pytest.approx(1 / math.sqrt(seen.num_probed * half * (1 - half)))


def test_confidence_is_the_share_of_errors_that_leave_it_ahead() -> None:
    better, other = made(1.0, [0.0, 0.0, -0.5, 0.0]), made(0.6, [0.0, 0.1, 0.0, 0.5])
    assert better.confidence_over(other) == 0.5  # leads 0.4, 0.3, -0.1, -0.1


def test_few_images_lower_the_confidence_where_the_starts_differ() -> None:
    """A lead of 0.5 at a standard error of hypot(0.3, 0.4) = 0.5: the normal distribution's 84.13 %."""
    better, other = made(1.0, [0.0, 0.0], sampling_error=0.3), made(0.5, [0.0, 0.0], sampling_error=0.4, start="last")
    assert better.confidence_over(other) == pytest.approx(0.8413, abs=1e-4)
    assert better.confidence_over(made(0.5, [0.0, 0.0], sampling_error=0.4)) == 1.0


def test_residuals_come_from_kinds_left_out() -> None:
    """One kind behaves like no other: its own residual is its whole gain, whatever the fit to all of them says."""
    rows = made_up()
    odd = accuracy_at(logit(0.8) - 0.4 + 3.0)
    twins = [
        Measured(task, "some", rows[4].evidence, {**rows[4].accuracy, "partial_fine_tune_3": odd})
        for task in ("kind4_a", "kind4_b")
    ]
    (found,) = expect(evidence(), NAMES[2:], [*rows[:4], *rows[5:], *twins])
    assert found.residuals[-2:] == pytest.approx([3.0, 3.0])
    assert max(abs(found.residuals[:-2])) < 1.0
    low, high = found.interval()
    assert low < found.accuracy < high


def test_perfect_probes_and_perfect_options_are_finite() -> None:
    rows = [replace(row, accuracy=dict.fromkeys(NAMES, 1.0)) for row in made_up()]
    for found in expect(evidence(last=1.0, pilot=1.0), NAMES, rows):
        assert 0.99 < found.accuracy < 1.0


def test_the_sweeps_that_ship_hold_every_option() -> None:
    rows = load_measured()
    assert len({row.task for row in rows}) > 1
    for row in rows:
        assert set(row.accuracy) == {option.name for option in OPTIONS}
        assert all(0.0 <= accuracy <= 1.0 for accuracy in row.accuracy.values())

"""What is expected on a new task, from sweeps made up so that the answer is known."""

import math

import numpy as np
import pytest

from thawline.advisor.evidence import Evidence, mean_of
from thawline.advisor.experience import Measured, expect, load_measured
from thawline.advisor.options import OPTIONS


def evidence(*, distance: float | None = 0.5, last: float = 0.8, num_train: int = 500) -> Evidence:
    return Evidence(num_train, 4, distance, last, best=last, all_stages=last, majority=0.25, num_probed=500)


def logit(accuracy: float) -> float:
    return math.log(accuracy / (1 - accuracy))


def made_up(gain_per_distance: float, *, noise: float = 0.0) -> list[Measured]:
    """Ten tasks on which thawing gains in proportion to the distance, over a probe that has 0.8 everywhere."""
    rng = np.random.default_rng(0)
    rows = []
    for number, distance in enumerate(np.linspace(0.0, 1.0, 10)):
        gain = gain_per_distance * (distance - 0.5) + noise * rng.standard_normal()
        thawed = 1 / (1 + math.exp(-(logit(0.8) + gain)))
        accuracy, rate = {"probe": 0.8, "thawed": thawed}, {"probe": None, "thawed": 1e-4}
        rows.append(Measured(f"task_{number}", "some", evidence(distance=float(distance)), accuracy, rate))
    return rows


def test_the_expectation_follows_the_evidence() -> None:
    rows = made_up(2.0)
    near, far = (expect(evidence(distance=d), ["probe", "thawed"], rows) for d in (0.1, 0.9))
    assert [found.option for found in near] == ["probe", "thawed"]
    assert near[0].accuracy == pytest.approx(0.8, abs=1e-6)
    assert near[1].accuracy < 0.75 < 0.85 < far[1].accuracy


def test_an_unknown_distance_is_taken_as_the_mean() -> None:
    rows = made_up(2.0)
    (unknown,) = expect(evidence(distance=None), ["thawed"], rows)
    assert unknown.accuracy == pytest.approx(0.8, abs=1e-6)


def test_residuals_come_from_tasks_left_out() -> None:
    """One task behaves like no other: its own residual is its whole gain, whatever the fit to all of them says."""
    rows = made_up(0.0)
    odd = 1 / (1 + math.exp(-(logit(0.8) + 3.0)))
    rows[4] = Measured("task_4", "some", rows[4].evidence, {"thawed": odd}, {"thawed": 1e-4})
    (found,) = expect(evidence(), ["thawed"], rows)
    assert found.residuals[4] == pytest.approx(3.0)
    low, high = found.interval()
    assert low < found.accuracy < high


def test_rows_of_one_task_are_left_out_together() -> None:
    rows = made_up(0.0)
    odd = 1 / (1 + math.exp(-(logit(0.8) + 3.0)))
    twin = Measured("task_4", "other", rows[4].evidence, {"thawed": odd}, {"thawed": 1e-4})
    rows[4] = Measured("task_4", "some", rows[4].evidence, {"thawed": odd}, {"thawed": 1e-4})
    (found,) = expect(evidence(), ["thawed"], [*rows, twin])
    assert found.residuals[4] == pytest.approx(3.0)
    assert found.residuals[-1] == pytest.approx(3.0)


def test_perfect_probes_and_perfect_options_are_finite() -> None:
    rows = [Measured(row.task, "some", row.evidence, {"thawed": 1.0}, {"thawed": 1e-4}) for row in made_up(0.0)]
    (found,) = expect(evidence(last=1.0), ["thawed"], rows)
    assert 0.99 < found.accuracy < 1.0


def test_draws_of_one_task_are_averaged() -> None:
    assert mean_of([evidence(last=0.7, distance=0.2), evidence(last=0.8, distance=0.4)]) == Evidence(
        500, 4, pytest.approx(0.3), pytest.approx(0.75), pytest.approx(0.75), pytest.approx(0.75), 0.25, 500
    )
    assert mean_of([evidence(distance=None)]).distance is None


def test_the_sweeps_that_ship_hold_every_option() -> None:
    rows = load_measured()
    assert len({row.task for row in rows}) > 1
    for row in rows:
        assert set(row.accuracy) == set(row.rate) == {option.name for option in OPTIONS}
        assert all(0.0 <= accuracy <= 1.0 for accuracy in row.accuracy.values())
        assert all((row.rate[option.name] is None) == option.solved for option in OPTIONS)

"""The learning-rate factor by hand."""

import pytest

from thawline.errors import UserError
from thawline.training.schedule import lr_factor, position


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("cosine", 0, 0.5),  # 2 warm-up steps of 10: 1/2, 2/2
        ("cosine", 1, 1.0),
        ("cosine", 2, 1.0),
        ("cosine", 6, 0.5),  # half of the 8 remaining steps
        ("cosine", 10, 0.0),
        ("cosine", 12, 0.0),  # past the end the rate does not rise again
        ("constant", 0, 0.5),
        ("constant", 9, 1.0),
        ("plateau", 0, 1.0),
        ("one_cycle", 0, 0.04),  # rises from 1/25 over steps 0 and 1
        ("one_cycle", 1, 1.0),
        ("one_cycle", 5, 0.500002),  # half of the 8 steps down to 1/25 of 1e-4
        ("one_cycle", 9, 4e-6),
    ],
)
def test_factor(schedule: str, step: int, expected: float) -> None:
    assert lr_factor(step, schedule=schedule, total_steps=10, warmup_fraction=0.2) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "step", "total_steps", "warmup_fraction", "expected"),
    [
        ("cosine", 1, 1, 0.0, 0.0),
        ("one_cycle", 1, 10, 0.3, 0.52),  # halfway up from 1/25
        ("one_cycle", 0, 10, 0.1, 1.0),  # a rise of one step, at its top at once
        ("one_cycle", 1, 2, 0.5, 4e-6),  # and a fall of one step
    ],
)
def test_factor_over_very_few_steps(
    schedule: str, step: int, total_steps: int, warmup_fraction: float, expected: float
) -> None:
    factor = lr_factor(step, schedule=schedule, total_steps=total_steps, warmup_fraction=warmup_fraction)
    assert factor == pytest.approx(expected)


def test_unknown_schedule_names_the_allowed_ones() -> None:
    with pytest.raises(UserError, match=r"optim\.schedule=linear: allowed are cosine, constant, one_cycle, plateau"):
        lr_factor(5, schedule="linear", total_steps=10, warmup_fraction=0.0)


@pytest.mark.parametrize(
    ("step", "starts", "expected"),
    [
        (7, (), (7, 20)),
        (4, (5, 12), (4, 5)),
        (5, (5, 12), (0, 7)),  # a segment from 5 to 12
        (19, (5, 12), (7, 8)),
        (19, (5, 25), (14, 15)),  # a change after the end does not count
        (20, (5, 20), (15, 15)),  # nor one at the end, which the scheduler reaches after the last step
    ],
)
def test_position_within_the_segment_that_a_restart_begins(
    step: int, starts: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert position(step, total_steps=20, starts=starts) == expected

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
        ("constant", 0, 0.5),
        ("constant", 9, 1.0),
        ("plateau", 0, 1.0),
    ],
)
def test_factor(schedule: str, step: int, expected: float) -> None:
    assert lr_factor(step, schedule=schedule, total_steps=10, warmup_fraction=0.2) == pytest.approx(expected)


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
    ],
)
def test_position_within_the_segment_that_a_restart_begins(
    step: int, starts: tuple[int, ...], expected: tuple[int, int]
) -> None:
    assert position(step, total_steps=20, starts=starts) == expected

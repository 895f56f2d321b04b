"""The learning-rate factor by hand."""

import pytest

from thawline.errors import UserError
from thawline.models.schedule import lr_factor


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
    ],
)
def test_factor(schedule: str, step: int, expected: float) -> None:
    assert lr_factor(step, schedule=schedule, total_steps=10, warmup_fraction=0.2) == pytest.approx(expected)


def test_unknown_schedule_names_the_allowed_ones() -> None:
    with pytest.raises(UserError, match=r"optim\.schedule=linear: allowed are cosine, constant"):
        lr_factor(5, schedule="linear", total_steps=10, warmup_fraction=0.0)

"""The thresholds of the matrix: 1,000 and 100,000 images."""

import pytest

from thawline.advisor.sizes import size_note


@pytest.mark.parametrize(
    ("scenario", "num_train", "says"),
    [
        ("small_similar", 999, None),
        ("small_different", 1_000, "fewer than 1,000 training images, here are 1,000; between the two"),
        ("small_similar", 100_001, "fewer than 1,000 training images, here are 100,001"),
        ("large_similar", 100_001, None),
        ("large_different", 100_000, "more than 100,000 training images, here are 100,000; between the two"),
        ("large_different", 10, "more than 100,000 training images, here are 10"),
    ],
)
def test_size_note(scenario: str, num_train: int, says: str | None) -> None:
    note = size_note(scenario, num_train)
    if says is None:
        assert note is None
    else:
        assert note is not None
        assert says in note
        assert ("between the two" in note) == (1_000 <= num_train <= 100_000)

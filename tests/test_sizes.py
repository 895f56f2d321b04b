"""The thresholds of the matrix: 1,000 and 100,000 images."""

import pytest

from thawline.sizes import size_note


@pytest.mark.parametrize(
    ("scenario", "num_images", "says"),
    [
        ("small_similar", 999, None),
        ("small_different", 1_000, "fewer than 1,000 images, this dataset has 1,000; between the two"),
        ("small_similar", 100_001, "fewer than 1,000 images, this dataset has 100,001"),
        ("large_similar", 100_001, None),
        ("large_different", 100_000, "more than 100,000 images, this dataset has 100,000; between the two"),
        ("large_different", 10, "more than 100,000 images, this dataset has 10"),
    ],
)
def test_size_note(scenario: str, num_images: int, says: str | None) -> None:
    note = size_note(scenario, num_images)
    if says is None:
        assert note is None
    else:
        assert note is not None
        assert says in note
        assert ("between the two" in note) == (1_000 <= num_images <= 100_000)

"""The guidelines' matrix: 1,000 and 100,000 images, similar or different, and what it says for each cell."""

import pytest

from thawline.advisor.guidelines import cell_of, guideline, is_similar, size_note


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


@pytest.mark.parametrize(
    ("num_train", "distance", "cell", "says"),
    [
        (999, 0.24, "small_similar", ("feature_extraction", 0)),
        (999, 0.25, "small_different", ("partial_fine_tune", 2)),
        (1_000, 0.1, "medium_similar", ("feature_extraction", 0)),
        (100_000, 0.9, "medium_different", ("partial_fine_tune", 2)),
        (100_001, 0.1, "large_similar", ("full_fine_tune", None)),
        (100_001, None, "large_different", ("full_fine_tune", None)),
    ],
)
def test_cell_and_guideline(num_train: int, distance: float | None, cell: str, says: tuple[str, int | None]) -> None:
    assert cell_of(num_train, distance) == cell
    assert guideline(cell) == says


def test_a_distance_that_is_not_known_counts_as_different() -> None:
    assert not is_similar(None)

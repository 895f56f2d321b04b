"""A long list in a message is cut, and says how much is left out; the first line of an error is never empty."""

import pytest

from thawline.errors import first_line, named


def test_the_first_few_are_named_and_the_others_counted() -> None:
    assert named(["a", "b", "c"]) == "a, b, c"
    assert named(["a", "b", "c", "d", "e"], between="; ") == "a; b; c and 2 more"


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("no number\nat all"), "no number"), (ValueError("\n b"), "b"), (AssertionError(), "AssertionError")],
)
def test_the_first_line_of_an_error_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line
    assert first_line(error, nothing="-") == ("-" if line == "AssertionError" else line)

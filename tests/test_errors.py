"""A long list in a message is cut, and says how much is left out."""

from thawline.errors import named


def test_the_first_few_are_named_and_the_others_counted() -> None:
    assert named(["a", "b", "c"]) == "a, b, c"
    assert named(["a", "b", "c", "d", "e"], between="; ") == "a; b; c and 2 more"

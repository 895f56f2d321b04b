"""Numbers with their words."""

import pytest

from thawline.amounts import images_per_second, plural


@pytest.mark.parametrize(("number", "says"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1234, "1,234 images")])
def test_one_has_no_s(number: int, says: str) -> None:
    assert plural(number, "image") == says


def test_another_plural_and_the_verb_are_given() -> None:
    assert [plural(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]
    assert plural(1, "file is left out", "files are left out") == "1 file is left out"


def test_a_low_rate_has_a_decimal() -> None:
    rates = [images_per_second(rate) for rate in (0.44, 9.94, 10.2, 1234.5)]
    assert rates == ["0.4 images/s", "9.9 images/s", "10 images/s", "1,234 images/s"]

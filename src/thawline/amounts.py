"""Numbers with their words, as sentences have them."""

_WHOLE_FROM = 10.0  # a second; chosen: below it a rate without a decimal is off by 5 % and more


def plural(number: int, one: str, many: str = "") -> str:
    """The number and its word; `many` where an s at the end of `one` does not make it.

    >>> plural(1, "image"), plural(1200, "image"), plural(0, "class", "classes")
    ('1 image', '1,200 images', '0 classes')
    >>> plural(1, "file is left out", "files are left out")
    '1 file is left out'
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def images_per_second(rate: float) -> str:
    """
    >>> images_per_second(0.44), images_per_second(1234.5)
    ('0.4 images/s', '1,234 images/s')
    """
    return f"{rate:,.{1 if rate < _WHOLE_FROM else 0}f} images/s"

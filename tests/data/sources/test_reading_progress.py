import logging

import pytest

from thawline.data.sources.reading_progress import lines


def test_a_line_every_ten_seconds_with_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = [0.0]
    advance = lines(1000, every_s=10, clock=lambda: now[0])
    for second, number in ((4, 100), (9, 100), (11, 50), (14, 50), (22, 200), (40, 500)):
        now[0] = second
        advance(number)
    assert [record.getMessage() for record in caplog.records] == [
        "reading images: 250 of 1,000, about 33 s left",  # 250 in 11 s
        "reading images: 500 of 1,000, about 22 s left",
    ]

"""How far long work has come, where stderr is no terminal: a line every ten seconds, and none for short work."""

import pytest

from thawline import progress_bar
from thawline.commands.prediction_progress import bars
from thawline.progress_bar import counted, lines, progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only number is the time, in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in counted(range(1000), 1000, "images read", above=100):
        clock[0] += 0.03125  # exact as a float
    said = capsys.readouterr().err.splitlines()
    left_s = {320: 21, 640: 11, 960: 1}  # at 32 a second
    assert said == [f"images read: {number} of 1,000, about {left} s left" for number, left in left_s.items()]


def test_the_time_left_is_that_of_what_was_done_since(clock: list[float]) -> None:
    said: list[str] = []
    advance = lines(1000, "reading images", say=said.append)
    for second, number in ((4, 100), (9, 100), (11, 50), (14, 50), (22, 200), (40, 500)):
        clock[0] = second
        advance(number)
    assert said == [
        "reading images: 250 of 1,000, about 33 s left",  # 250 in 11 s
        "reading images: 500 of 1,000, about 22 s left",  # and none for the last
    ]


def test_little_work_is_not_shown(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress(5, "images", above=5) as advance:
        clock[0] += 60
        advance(5)
    assert list(counted("abc", 3, "letters", above=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_predict_tells_images_and_heatmaps_where_no_terminal_is(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with bars(500, 100, heatmaps=20) as shown:
        clock[0] += 11
        shown.heatmaps(1)
        shown.images(32)
    assert capsys.readouterr().err.splitlines() == [
        "heatmaps: 1 of 20, about 209 s left",
        "images: 132 of 500, about 126 s left",  # 32 in 11 s; 100 were done before
    ]

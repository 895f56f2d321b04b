"""Processes that start by themselves agree on a folder, and none waits for one that does not come."""

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError
from thawline.machine.processes import Place
from thawline.machine.signs_of_life import CANNOT_WRITE, Meeting
from thawline.runs.meeting import leaving_with_reason, meeting

Make = Callable[..., Meeting]


@pytest.fixture
def make() -> Iterator[Make]:
    """Meetings of the processes of one run, here threads."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    made: list[Meeting] = []

    def one(rank: int, world_size: int = 2, **limits: float) -> Meeting:
        made.append(Meeting(store.clone(), Place("torchrun", rank, 0, world_size), **limits))
        return made[-1]

    yield one
    for other in made:
        other._over.set()


def test_all_take_the_folder_of_the_first(make: Make) -> None:
    late: list[str] = []
    second = threading.Thread(target=lambda: late.append(make(1).word_of_first("folder", "at noon")))
    second.start()
    assert make(0).word_of_first("folder", "before noon") == "before noon"
    second.join()
    assert late == ["before noon"]


def test_a_first_process_that_says_nothing_is_not_waited_for(make: Make) -> None:
    with pytest.raises(UserError, match="process 1 of 2 heard nothing from process 0 within 0 s; its output says why"):
        make(1, wait_s=0.2).word_of_first("folder", "x")


def test_all_wait_for_the_slowest(make: Make) -> None:
    first, second, ended = make(0), make(1), threading.Event()

    def wait() -> None:
        first.wait_for_all()
        ended.set()

    threading.Thread(target=wait).start()
    assert not ended.wait(0.5)
    second.wait_for_all()
    assert ended.wait(5)


def test_every_process_hears_what_all_say(make: Make) -> None:
    first, second, heard = make(0), make(1), list[str]()
    other = threading.Thread(target=lambda: heard.extend(second.words_of_all("b")))
    other.start()
    assert first.words_of_all("a") == ["a", "b"]
    other.join()
    assert heard == ["a", "b"]


def test_after_all_have_come_nothing_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that holds the store of a pass may have ended it when the others see that all came."""
    first, second = make(0), make(1)
    threading.Thread(target=first.gather).start()
    store = SimpleNamespace(set=second._store.set, check=second._store.check, add=second._store.add)
    monkeypatch.setattr(second, "_store", store)  # no `get`
    second.wait_for_all()


def test_a_failure_is_told_to_those_that_wait(make: Make) -> None:
    make(1).leave("data.root=x: no such folder")
    with pytest.raises(UserError, match=r"process 1 of 2 failed: data\.root=x: no such folder"):
        make(0).wait_for_all()


def test_a_dead_process_is_not_waited_for(make: Make) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match="process 1 of 2 shows no sign of life for 1 s; its output says why"):
        make(0, dead_s=0.6).wait_for_all()
    assert time.monotonic() - start < 5


def test_a_living_process_is_waited_for_longer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.machine.signs_of_life._BEAT_S", 0.1)
    first, second = make(0, dead_s=0.5), make(1)
    threading.Timer(1.5, second.wait_for_all).start()
    first.wait_for_all()


def test_the_reason_is_the_error_s_first_line(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    second = make(1)
    monkeypatch.setattr("thawline.runs.meeting.meeting", lambda: second)
    with pytest.raises(RuntimeError), leaving_with_reason():
        raise RuntimeError("one\ntwo")
    with pytest.raises(UserError, match=r"process 1 of 2 failed: one$"):
        make(0).wait_for_all()


def test_processes_that_lightning_starts_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    def place(**_: Any) -> Place:
        return Place("lightning", 1, 1, 2)

    monkeypatch.setattr("thawline.runs.meeting.this_process", place)
    meeting.cache_clear()
    assert meeting() is None
    meeting.cache_clear()


def test_the_first_is_waited_for_as_long_as_it_lives(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.machine.signs_of_life._BEAT_S", 0.05)
    first, second = make(0), make(1, dead_s=0.3)
    threading.Timer(0.6, first.next_word_of_first, ["a"]).start()
    assert second.next_word_of_first("b") == "a"


def test_one_that_cannot_write_is_told_to_those_that_work(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.machine.signs_of_life._LOOK_S", 0.0)
    first, second = make(0), make(1)
    first.look_around()
    second.leave("no space left", kind=CANNOT_WRITE)
    with pytest.raises(OSError, match="process 1 of 2 cannot write: no space left"):
        first.look_around()


class Stopped:
    """A store in a process that is stopped: it takes questions, and answers none."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def clone(self) -> "Stopped":
        return self

    def set(self, key: str, value: str) -> None:
        self.goes_on.wait()

    def add(self, key: str, amount: int) -> int:
        self.goes_on.wait()
        return 0


def test_a_store_in_a_stopped_process_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.machine.signs_of_life._LOOK_S", 0.05)
    store = Stopped()
    waits = Meeting(store, Place("srun", 1, 1, 2), dead_s=0.2)
    with pytest.raises(UserError, match="holds the words of all 2 does not answer for 0 s; it is stopped, or its"):
        waits.gather()
    waits.leave("as it ends")  # asks nothing more
    store.goes_on.set()

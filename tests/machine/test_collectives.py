"""A process that waits for the first one hears why it does not come, and that it is lost, within its limit."""

import threading
from collections.abc import Iterator

import pytest
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError
from thawline.machine import collectives
from thawline.machine.collectives import (
    begin_signs_of_life,
    computed_by_first,
    of_all,
    rows_of_all,
    summed_over_processes,
)
from thawline.machine.processes import Place
from thawline.machine.signs_of_life import Meeting


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
    """The first of two processes, at the first call that both make; this one is the second."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setattr(collectives, "_several", lambda: True)
    monkeypatch.setattr(collectives, "_get_default_store", lambda: store)
    monkeypatch.setattr(collectives.dist, "get_rank", lambda: 1)
    monkeypatch.setattr(collectives.dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(collectives, "_of_group", {})
    numbers = iter((1, 2))  # of the groups
    said_by_first = lambda said: said.__setitem__(0, "solved" if len(said) == 2 else next(numbers))  # noqa: E731
    monkeypatch.setattr(collectives.dist, "broadcast_object_list", said_by_first)
    monkeypatch.setattr("thawline.machine.signs_of_life._BEAT_S", 0.05)
    monkeypatch.setattr("thawline.machine.signs_of_life._DEAD_S", 0.3)
    there = Meeting(PrefixStore("thawline/group/1", store.clone()), Place("torchrun", 0, 0, 2))
    yield there
    there.end()
    for _, mine in collectives._of_group.values():
        mine.end()


def test_why_the_first_fails_is_told_to_who_waits_for_what_it_computes(first: Meeting) -> None:
    first.leave("the matrix is singular")
    with pytest.raises(UserError, match="process 0 of 2 failed: the matrix is singular"):
        computed_by_first(lambda: pytest.fail("only the first computes"))


@pytest.mark.parametrize("call", [computed_by_first, of_all, rows_of_all, summed_over_processes])
def test_a_first_process_without_a_sign_of_life_is_not_waited_for(first: Meeting, call: "type[of_all]") -> None:
    first.end()
    with pytest.raises(UserError, match="process 0 of 2 shows no sign of life for 0 s"):
        call(())  # type: ignore[arg-type]


def test_a_process_that_is_late_and_lives_is_waited_for(first: Meeting) -> None:
    """It gives signs of life since it has the group, not since it came here."""
    threading.Timer(1.0, first.gather).start()  # it is late by three times its limit
    assert computed_by_first(lambda: pytest.fail("only the first computes")) == "solved"


def test_another_group_has_other_words_in_the_same_store(first: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    store = collectives._get_default_store()
    begin_signs_of_life()
    monkeypatch.setattr(collectives, "_get_default_store", lambda: store.clone())
    first.leave("of the group before")
    with pytest.raises(UserError, match="process 0 of 2 shows no sign of life"):
        of_all(1)

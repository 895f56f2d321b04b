"""scenario=auto in several processes: what the first decides reaches the others, and none waits for a rung in vain."""

import os
import threading
from collections.abc import Iterator

import pytest
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from thawline.errors import UserError
from thawline.machine.processes import Place
from thawline.machine.signs_of_life import Meeting
from thawline.runs import called as module
from thawline.runs.called import ALONE, Call, called, others_let_go, shared_batch, wait_for_call, without
from thawline.settings.trainer_settings import TrainerSettings

CALL = Call("blend_2", 2, ("data.root=[x]", "model.name=test_resnet"), ("strategy=blend", "data.batch_size=4"))
TWO = TrainerSettings(num_nodes=2)


class Second(threading.Thread):
    """The second of two processes, here a thread: it waits for a call, and then for the first."""

    call: Call | None = None
    error: Exception | None = None

    def __init__(self, there: Meeting, *, trains: bool) -> None:
        super().__init__()
        self.there, self.trains = there, trains

    def run(self) -> None:
        try:
            self.call = wait_for_call()
            if self.trains:
                self.there.wait_for_all()  # as before a training
        except UserError as error:
            self.error = error

    def ended(self) -> "Second":
        self.join(10)
        assert not self.is_alive()
        return self


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Meeting]]:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    of_two = [Meeting(store.clone(), Place("torchrun", rank, 0, 2)) for rank in range(2)]
    mine = {True: of_two[0], False: of_two[1]}
    for name in ("thawline.runs.called.meeting", "thawline.runs.meeting.meeting"):
        monkeypatch.setattr(name, lambda: mine[threading.current_thread() is threading.main_thread()])
    yield of_two
    for one in of_two:
        one.end()


def test_a_call_reaches_the_others_as_it_was_made(meetings: list[Meeting]) -> None:
    second = Second(meetings[1], trains=True)
    second.start()
    with others_let_go(), called(CALL, TWO):
        meetings[0].wait_for_all()
    assert second.ended().call == CALL
    assert second.error is None


def test_without_a_call_all_end(meetings: list[Meeting]) -> None:
    second = Second(meetings[1], trains=False)
    second.start()
    with others_let_go():
        pass
    assert second.ended().call is None
    assert second.error is None


def test_a_rung_that_fails_in_the_first_is_not_waited_for(meetings: list[Meeting]) -> None:
    second = Second(meetings[1], trains=True)
    second.start()
    with pytest.raises(OSError, match="no space left"), called(CALL, TWO):
        raise OSError("no space left")
    assert str(second.ended().error) == "process 0 of 2 failed: no space left"


def test_an_interrupted_first_is_not_waited_for(meetings: list[Meeting]) -> None:
    second = Second(meetings[1], trains=False)
    second.start()
    with pytest.raises(KeyboardInterrupt), others_let_go():
        raise KeyboardInterrupt
    assert str(second.ended().error).startswith("process 0 of 2 failed")


def test_processes_that_lightning_starts_read_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "meeting", lambda: None)
    before = dict(os.environ)
    with called(CALL, TrainerSettings(devices=2)):
        assert wait_for_call() == CALL
    with called(CALL, TrainerSettings()):
        assert dict(os.environ) == before
    assert dict(os.environ) == before


@pytest.mark.parametrize(("devices", "batch"), [(1, ()), (4, ("data.batch_size=8",)), (64, ("data.batch_size=2",))])
def test_the_batches_of_all_are_those_of_one(devices: int, batch: tuple[str, ...]) -> None:
    assert shared_batch(TrainerSettings(devices=devices), batch_size=32) == batch


def test_what_is_solved_is_not_given_the_processes_of_the_command() -> None:
    given = ("trainer.devices=8", "seed=1", "trainer.num_nodes=2", "+trainer.devices=3")
    assert without(given, ALONE) == ["seed=1"]

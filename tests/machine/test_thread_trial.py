"""The number of threads that is measured to be faster is taken; the clock is made up."""

import pytest
import torch
from omegaconf import OmegaConf

from thawline.machine import thread_trial
from thawline.machine.thread_trial import ThreadTrial, candidates, fastest, threads_restored
from thawline.runs.config import threads_setting


class Machine:
    """Steps take the seconds that the present number of threads has."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now, self.threads, self.steps = seconds, 0.0, 0, 0

    def set_threads(self, number: int) -> None:
        self.threads = number

    def step(self) -> None:
        self.now += self.seconds[self.threads]
        self.steps += 1


@pytest.mark.parametrize(
    ("seconds", "number"),
    [({2: 1.0, 1: 1.9}, 2), ({2: 20.0, 1: 1.9}, 1), ({2: 1.0, 1: 1.0}, 2), ({2: 1.0, 1: 0.95}, 2)],
    ids=["alone", "with a neighbour", "alike", "hardly faster"],
)
def test_the_faster_number_is_set(seconds: dict[int, float], number: int) -> None:
    machine = Machine(seconds)
    best = fastest(machine.step, (2, 1), clock=lambda: machine.now, set_threads=machine.set_threads)
    assert (best, machine.threads, machine.steps) == (number, number, 7)


def test_with_one_candidate_nothing_is_measured() -> None:
    machine = Machine({4: 1.0})
    assert fastest(machine.step, (4,), clock=lambda: machine.now, set_threads=machine.set_threads) == 4
    assert machine.steps == 0


def test_steps_alternate_and_one_that_was_held_up_does_not_count() -> None:
    trial, times = ThreadTrial((2, 1)), iter([1.0, 2.0, 9.0, 2.0, 1.0, 2.0])
    order = []
    while (number := trial.next) is not None:
        order.append(number)
        trial.note(number, next(times))
    assert order == [2, 1, 2, 1, 2, 1]
    assert trial.winner == 2


def test_what_the_user_says_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr(thread_trial, "num_cores", lambda: 6)  # of 16, by affinity or quota
    assert candidates("auto") == candidates("follow") == (6, 1)
    assert candidates(3) == (3,)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    assert candidates("auto") == (16,)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(thread_trial, "num_cores", lambda: 1)
    assert candidates("auto") == (1,)


def test_a_deterministic_run_takes_one_thread_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def threads_of(given: int | str, *, deterministic: bool) -> int | str:
        return threads_setting(OmegaConf.create({"threads": given, "trainer": {"deterministic": deterministic}}))

    assert [threads_of("auto", deterministic=exact) for exact in (False, True)] == ["auto", 1]
    assert [threads_of(given, deterministic=True) for given in ("follow", 3)] == [1, 3]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads_of("auto", deterministic=True) == "auto"  # which takes that number


def test_the_process_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    with threads_restored():
        torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before

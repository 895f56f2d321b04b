"""The training measures on its own steps how many threads are faster; the machine is made up."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import lightning as L
import pytest

from thawline.callbacks.thread_choice import ThreadChoice
from thawline.freezing.plan import make_plan
from thawline.settings.strategy_settings import StrategySettings

Fit = Callable[..., Any]
PLAN = make_plan(StrategySettings("test", unfreeze_depth=1, thaw_after=4), stage_names=["a", "b"], model_name="made up")


class Machine(L.Callback):
    """A step takes as long as the number of threads and the epoch say."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        self.seconds, self.now, self.threads, self.steps = seconds, 0.0, 0, list[tuple[int, int]]()

    def set_threads(self, number: int) -> None:
        self.threads = number

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.now += self.seconds(trainer.current_epoch, self.threads)
        self.steps.append((trainer.current_epoch, self.threads))

    def threads_of(self, epoch: int) -> list[int]:
        return [threads for e, threads in self.steps if e == epoch]


def on(machine: Machine, *, numbers: tuple[int, ...] = (2, 1), follow: bool = False, plan: Any = None) -> ThreadChoice:
    return ThreadChoice(
        numbers,
        plan=plan,
        follow=follow,
        clock=lambda: machine.now,
        get_threads=lambda: machine.threads,
        set_threads=machine.set_threads,
    )


def test_a_neighbour_from_the_start_leaves_one_thread(fit: Fit) -> None:
    machine = Machine(lambda epoch, threads: 20.0 if threads == 2 else 1.9)
    choice = on(machine)
    fit(choice, machine, epochs=5)  # 3 steps an epoch, of which 2 count
    assert [machine.threads_of(epoch) for epoch in range(4)] == [[2, 2, 1], [2, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert (choice.number, choice.changes) == (1, [[2, 1]])


@pytest.mark.parametrize(
    ("in_the_pass", "faster", "said"),
    [
        (2, 1, ["Threads: 1, not 2; a step takes 20000 ms with 2, 1900 ms with 1."]),
        (1, 1, []),  # the pass has said so
        (1, 2, ["Threads: 2, not 1; a step takes 1900 ms with 2, 20000 ms with 1."]),  # the neighbour is gone
        (2, 2, []),
    ],
)
def test_a_number_of_threads_is_told_once(
    caplog: pytest.LogCaptureFixture, in_the_pass: int, faster: int, said: list[str]
) -> None:
    machine = Machine(lambda epoch, threads: 1.9 if threads == faster else 20.0)
    machine.threads = in_the_pass
    choice, trainer, model = on(machine), Mock(), Mock()
    with caplog.at_level("INFO", "thawline.callbacks.thread_choice"):
        choice.on_fit_start(trainer, model)
        for trainer.current_epoch in range(4):
            choice.on_train_epoch_start(trainer, model)
            for batch_idx in range(3):
                choice.on_train_batch_start(trainer, model, None, batch_idx)
                machine.on_train_batch_start(trainer)
                choice.on_train_batch_end(trainer, model, None, None, batch_idx)
            choice.on_train_epoch_end(trainer, model)
    assert choice.number == faster
    assert [line for line in caplog.messages if line.startswith("Threads")] == said


def test_alone_all_threads_stay(fit: Fit) -> None:
    machine = Machine(lambda epoch, threads: 1.0 if threads == 2 else 1.9)
    choice = on(machine)
    fit(choice, machine, epochs=4)
    assert (choice.number, choice.changes, machine.threads_of(3)) == (2, [[2, 2]], [2, 2, 2])


def test_one_candidate_is_set_and_kept(fit: Fit) -> None:
    machine = Machine(lambda epoch, threads: 1.0)
    fit(on(machine, numbers=(3,), follow=True), machine, epochs=2)
    assert {threads for _, threads in machine.steps} == {3}


def test_a_phase_that_trains_more_is_measured_anew(fit: Fit) -> None:
    """A head alone takes one thread; when stages thaw, all of them pay."""
    machine = Machine(lambda epoch, threads: (threads if epoch < 4 else 1 / threads) * 1.0)
    choice = on(machine, plan=PLAN)
    fit(choice, machine, epochs=8)
    assert choice.changes == [[2, 1], [6, 2]]


@pytest.mark.parametrize(("follow", "number"), [(True, 1), (False, 2)])
def test_a_neighbour_that_comes_later_is_noticed_where_that_is_wanted(fit: Fit, follow: bool, number: int) -> None:
    machine = Machine(lambda epoch, threads: (20.0 if epoch >= 4 else 1.0) if threads == 2 else 1.9)
    choice = on(machine, follow=follow)
    fit(choice, machine, epochs=9)  # epoch 4 is slow, so 5, 6 and 7 measure
    assert choice.number == number
    assert choice.changes == ([[2, 2], [7, 1]] if follow else [[2, 2]])


def test_a_resumed_training_computes_with_the_same_number() -> None:
    machine = Machine(lambda epoch, threads: 1.0)
    first, resumed = on(machine), on(machine)
    first.number, first.changes = 1, [[0, 1]]
    resumed.load_state_dict(first.state_dict())
    assert (resumed.number, resumed.changes) == (1, [[0, 1]])
    elsewhere = on(machine, numbers=(8,))
    elsewhere.load_state_dict(first.state_dict())
    assert elsewhere.number == 8  # what the user says holds

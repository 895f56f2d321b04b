"""The number of threads of the training, measured on its own first steps."""

import logging
import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch

from thawline.freezing.plan import FreezePlan
from thawline.machine.thread_trial import ThreadTrial

_log = logging.getLogger(__name__)
_FELL = 0.5  # chosen: below this share of the best epoch's speed, what was measured holds no longer


class ThreadChoice(L.Callback):
    """Takes the number of threads with which the steps of a phase of the freeze plan are fastest.

    The steps are the training's own, so measuring costs nothing: each is timed with one of the candidates in turn. The
    first step of an epoch is left out, because others count its FLOPs. The result is in the checkpoint, so that a
    resumed run computes with the same number.

    Args:
        candidates: Numbers of threads; with one there is nothing to choose.
        follow: Whether to measure again after an epoch at half the speed of the best one.
        clock, get_threads, set_threads: For tests.
    Attributes:
        number: The number in use.
        changes: (epoch, number) of every choice; epochs from 0.
    """

    def __init__(
        self,
        candidates: tuple[int, ...],
        *,
        plan: FreezePlan | None = None,
        follow: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        get_threads: Callable[[], int] = torch.get_num_threads,
        set_threads: Callable[[int], None] = torch.set_num_threads,
    ) -> None:
        self.candidates = candidates
        self.number = candidates[0]
        self.changes: list[list[int]] = []
        self._phases = {0, *(plan.changes if plan else ())}
        self._follow, self._clock, self._get, self._set = follow, clock, get_threads, set_threads
        self._last_named = self.number  # the last number that a line named, or that goes without saying
        self._trial: ThreadTrial | None = None
        self._timed: int | None = None  # threads of the step under way, if it counts
        self._start = 0.0
        self._epoch_s, self._epoch_steps = 0.0, 0
        self._best_s = 0.0  # seconds of a step in the fastest epoch of this phase
        self._slow = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        in_the_pass = self._get()  # whose line, where it measured, has named this number
        first = self.number == self.candidates[0] and in_the_pass in self.candidates
        self._last_named = in_the_pass if first else self.number
        self._set(self.number)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch in self._phases:
            self._best_s = 0.0
        if len(self.candidates) > 1 and (trainer.current_epoch in self._phases or self._slow):
            self._trial, self._slow = ThreadTrial(self.candidates), False
        self._epoch_s, self._epoch_steps = 0.0, 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._timed = self._trial.next if self._trial and batch_idx > 0 else None
        if self._timed is not None:
            self._set(self._timed)
        self._start = self._clock()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = self._clock() - self._start
        if self._timed is not None and self._trial is not None:
            self._trial.note(self._timed, seconds)
            if self._trial.next is None:
                self._choose(trainer.current_epoch, self._trial)
            self._set(self.number)
        elif batch_idx > 0:
            self._epoch_s, self._epoch_steps = self._epoch_s + seconds, self._epoch_steps + 1

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._epoch_steps == 0:
            return
        step_s = self._epoch_s / self._epoch_steps
        self._slow = self._follow and 0.0 < self._best_s < step_s * _FELL
        self._best_s = min(step_s, self._best_s or step_s)

    def _choose(self, epoch: int, trial: ThreadTrial) -> None:
        if (winner := trial.winner) != self._last_named:
            times = ", ".join(f"{min(trial.seconds[n]) * 1000:.0f} ms with {n}" for n in trial.candidates)
            _log.info("Threads: %d, not %d; a step takes %s.", winner, self._last_named, times)
        self.number, self._last_named, self._trial = winner, winner, None
        self.changes.append([epoch, winner])

    def state_dict(self) -> dict[str, Any]:
        measured = {str(number): times for number, times in self._trial.seconds.items()} if self._trial else None
        return {"number": self.number, "changes": self.changes, "measured": measured, "best_s": self._best_s,
                "slow": self._slow}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if len(self.candidates) == 1:  # the user says how many
            return
        self.changes = state_dict["changes"]
        if state_dict["number"] in self.candidates:  # another machine may have fewer cores
            self.number = state_dict["number"]
        self._best_s, self._slow = state_dict["best_s"], state_dict["slow"]
        if (measured := state_dict["measured"]) is not None:
            self._trial = ThreadTrial(self.candidates, {int(n): times for n, times in measured.items()})

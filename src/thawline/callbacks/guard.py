"""FreezeGuard: checks that frozen means frozen, at fit start, at every change and at the end; keeps the proof."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch.distributed as dist
from torch import nn

from thawline.callbacks.freeze import FreezeCallback
from thawline.errors import UserError, named
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.problems import mode_problems, optimizer_problems, requires_grad_problems
from thawline.models.digests import Digests, combined, differing, digests
from thawline.training.classifier import TransferClassifier


class FreezeBreach(RuntimeError):
    """Something frozen trains, could train, or has changed: a defect, ours or a callback's. The run stops."""


class FreezeGuard(L.Callback):
    """Compares the model with the plan, and checksums of what is frozen with those from when it froze.

    It goes beside a `FreezeCallback`, in any order, and holds the model to that callback's plan. A run stops with
    `FreezeBreach` where a frozen tensor differs or could move.

    >>> from thawline import FreezeCallback
    >>> watched = [FreezeCallback(unfreeze_depth=2), FreezeGuard()]
    >>> trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=watched)

    In somebody else's module the optimizer may hold frozen parameters: without a gradient none moves. Modes are not
    looked at there, because the callback sets them whenever a stage computes.

    Attributes:
        bound: The plan, from `setup` on.
        before: Checksums of all tensors as they were before the fit: in a run before a checkpoint was read, elsewhere
            behind that.
        checks: Number of comparisons of checksums so far, all of them equal.
        seconds: Time spent in here.
        verified: Whether every comparison found what it should; None before the first.
    """

    def __init__(self) -> None:
        self._bound: BoundPlan | None = None
        self._is_given = False
        self._checked_epoch = -1
        self.before: Digests = {}
        self.checks = 0
        self.seconds = 0.0
        self.verified: bool | None = None
        self._since: Digests = {}  # what is frozen at the moment, as it was when it froze

    @classmethod
    def bound_to(cls, bound: BoundPlan) -> "FreezeGuard":
        """One for a model and an optimizer that the plan alone rules: the optimizer holds nothing that never trains."""
        guard = cls()
        guard._bound, guard._is_given = bound, True
        return guard

    @property
    def bound(self) -> BoundPlan:
        assert self._bound is not None, "bound in setup"
        return self._bound

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Before a checkpoint is read: the pretrained weights."""
        if stage != "fit":
            return
        self._checked_epoch = -1
        if not self._is_given:
            self._bound = _plan_in(trainer, pl_module)
            return
        with self._timed():
            self.before = digests(self.bound.tensors())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self._timed():
            epoch = trainer.current_epoch
            if not self._is_given:  # who resumes such a fit may have built the model with other weights
                self.before = digests(self.bound.tensors())
                self._compare({name: value for name, value in self._since.items() if name in self.before}, _RESUMED)
                self._since = {name: self.before[name] for name in self.bound.frozen_tensors(epoch)}
                return
            untouched = {name: self.before[name] for name in self._untouched_until(epoch)}
            now = self._compare({**self._since, **untouched}, _RESUMED)  # a resumed run knows since when
            if not self._since:
                self._since = {name: now[name] for name in self.bound.frozen_tensors(epoch)}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the first batch of an epoch, when every callback has had its turn."""
        epoch = trainer.current_epoch
        if epoch == self._checked_epoch:
            return
        self._checked_epoch = epoch
        with self._timed():
            if epoch in self.bound.plan.changes:
                self._since = digests(self.bound.frozen_tensors(epoch))
            self._check_state(trainer, epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch
        with self._timed():
            self._check_state(trainer, epoch)
            if epoch + 1 in self.bound.plan.changes:
                self._compare(self._since, f"after epoch {epoch + 1}, before the plan changes")
                agree_across_processes(self.bound)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self._timed():
            self._compare(self._since, "after training")
            agree_across_processes(self.bound)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The weights that a run tests come from its best checkpoint, perhaps averaged or interpolated."""
        if not self._is_given:
            return
        with self._timed():
            never = self.bound.never_training()
            self._compare({name: self.before[name] for name in never}, "in the weights that were tested")

    def _untouched_until(self, epoch: int) -> set[str]:
        """Tensors that trained in no phase that began before `epoch`."""
        begun = [phase.from_epoch for phase in self.bound.plan.phases if phase.from_epoch < epoch]
        frozen = [set(self.bound.frozen_tensors(start)) for start in begun]
        return set.intersection(set(self.before), *frozen)

    def _compare(self, before: Digests, occasion: str) -> Digests:
        """Returns the checksums as they are now, equal to those before."""
        tensors = self.bound.tensors()
        now = digests({name: tensors[name] for name in before})
        changed = differing(before, now)
        self.verified = not changed
        if changed:
            raise FreezeBreach(f"frozen tensors differ {occasion}: {named(changed)}; {_BLAME}")
        self.checks += 1
        return now

    def _check_state(self, trainer: L.Trainer, epoch: int) -> None:
        problems = [
            *requires_grad_problems(self.bound, epoch),
            *(mode_problems(self.bound, epoch) if self._is_given else ()),
            *optimizer_problems(self.bound, trainer.optimizers, may_hold_others=not self._is_given),
        ]
        if problems:
            self.verified = False
            raise FreezeBreach(f"epoch {epoch + 1}: {named(problems)}; {_BLAME}")

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def state_dict(self) -> dict[str, Any]:
        return {"checks": self.checks, "seconds": self.seconds, "since": self._since}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.checks, self.seconds = state_dict["checks"], self.seconds + state_dict["seconds"]
        self._since = state_dict["since"]


_RESUMED = "before training"
_BLAME = "the run is not what its plan says, look for a callback that changes them"


def agree_across_processes(bound: BoundPlan) -> None:
    """With several processes: all hold bitwise the same parameters."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    mine = combined(digests({n: t for n, t in bound.tensors().items() if isinstance(t, nn.Parameter)}))
    everyones: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    if len(set(everyones)) > 1:
        raise FreezeBreach("the processes hold different parameters; their gradients were not averaged")


def _plan_in(trainer: L.Trainer, module: L.LightningModule) -> BoundPlan:
    """The plan of the FreezeCallback beside the guard, or the one that a TransferClassifier has."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, FreezeCallback):
            return callback.bind(trainer, module)
    if isinstance(module, TransferClassifier):
        return module.bound
    raise UserError(
        "FreezeGuard: there is no FreezeCallback among the trainer's callbacks, whose plan it could hold the model to; "
        "add thawline.FreezeCallback(unfreeze_depth=2)"
    )

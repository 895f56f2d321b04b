"""FreezeGuard: checks at the start, at every change of the plan and at the end that frozen tensors did not change."""

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
    """A frozen tensor trains, could train, or has changed, through a defect of Thawline or of a callback."""


class FreezeGuard(L.Callback):
    """Compares the model with the plan, and the checksums of frozen tensors with those at the time they froze.

    Use it beside a `FreezeCallback`, in any order; it checks that callback's plan. A run stops with `FreezeBreach` if a
    frozen tensor differs or could change.

    >>> from thawline import FreezeCallback
    >>> watched = [FreezeCallback(unfreeze_depth=2), FreezeGuard()]
    >>> trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=watched)

    In other modules than Thawline's the optimizer may hold frozen parameters: without a gradient they do not change.
    Modes are not checked there, because the callback sets them whenever a stage computes.

    Attributes:
        bound: The plan, from `setup` on.
        before: Checksums of all tensors before the fit; in a Thawline run before, elsewhere after a checkpoint is read.
        checks: Number of comparisons of checksums so far, all of them equal.
        seconds: Time that the checks took.
        verified: Whether all comparisons were equal; None before the first.
    """

    def __init__(self) -> None:
        self._bound: BoundPlan | None = None
        self._strict = False  # whether the optimizer and the modes must follow the plan exactly
        self._checked_epoch = -1
        self.before: Digests = {}
        self.checks = 0
        self.seconds = 0.0
        self.verified: bool | None = None
        self._since: Digests = {}  # of the tensors that are frozen at the moment, when they froze

    @classmethod
    def bound_to(cls, bound: BoundPlan) -> "FreezeGuard":
        """A strict guard: the optimizer must not hold parameters that never train, and modes are checked too."""
        guard = cls()
        guard._bound, guard._strict = bound, True
        return guard

    def __repr__(self) -> str:
        return f"FreezeGuard(checks={self.checks}, verified={self.verified})"

    @property
    def bound(self) -> BoundPlan:
        assert self._bound is not None, "bound in setup"
        return self._bound

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self._checked_epoch = -1
        if not self._strict:
            self._bound = _plan_in(trainer, pl_module)
            return
        with self._timed():  # before a checkpoint is read, so these are the pretrained weights
            self.before = digests(self.bound.tensors())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self._timed():
            epoch = trainer.current_epoch
            if not self._strict:  # after the checkpoint, because the model may have been made with other weights
                self.before = digests(self.bound.tensors())
                self._compare({name: value for name, value in self._since.items() if name in self.before}, _RESUMED)
                self._since = {name: self.before[name] for name in self.bound.frozen_tensors(epoch)}
                return
            untouched = {name: self.before[name] for name in self._untouched_until(epoch)}
            now = self._compare({**self._since, **untouched}, _RESUMED)  # `_since` of a resumed run: its checkpoint
            if not self._since:
                self._since = {name: now[name] for name in self.bound.frozen_tensors(epoch)}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Check before the first batch of an epoch, after all callbacks have run."""
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
        """Check the tested weights: they come from the best checkpoint and may be averaged or interpolated."""
        if not self._strict:
            return
        with self._timed():
            never = self.bound.never_training()
            self._compare({name: self.before[name] for name in never}, "in the weights that were tested")

    def _untouched_until(self, epoch: int) -> set[str]:
        """Names of the tensors that no phase before `epoch` trains."""
        begun = [phase.from_epoch for phase in self.bound.plan.phases if phase.from_epoch < epoch]
        frozen = [set(self.bound.frozen_tensors(start)) for start in begun]
        return set.intersection(set(self.before), *frozen)

    def _compare(self, before: Digests, occasion: str) -> Digests:
        """Raise `FreezeBreach` if a checksum differs from `before`; returns the present checksums."""
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
            *(mode_problems(self.bound, epoch) if self._strict else ()),
            *optimizer_problems(self.bound, trainer.optimizers, may_hold_others=not self._strict),
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
    """Raise `FreezeBreach` unless all processes hold bitwise the same parameters."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    checksum = combined(digests({n: t for n, t in bound.tensors().items() if isinstance(t, nn.Parameter)}))
    checksums: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(checksums, checksum)
    if len(set(checksums)) > 1:
        raise FreezeBreach("the processes hold different parameters; their gradients were not averaged")


def _plan_in(trainer: L.Trainer, module: L.LightningModule) -> BoundPlan:
    """The plan of the trainer's FreezeCallback, or without one that of the TransferClassifier."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, FreezeCallback):
            return callback.bind(trainer, module)
    if isinstance(module, TransferClassifier):
        return module.bound
    raise UserError(
        "FreezeGuard: there is no FreezeCallback among the trainer's callbacks, whose plan it could hold the model to; "
        "add thawline.FreezeCallback(unfreeze_depth=2)"
    )

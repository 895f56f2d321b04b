"""FreezeGuard: checks that frozen means frozen, at fit start, at every change and at the end; keeps the proof."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thawline.errors import named
from thawline.models.digests import Digests, combined, differing, digests
from thawline.models.freezing import BoundPlan


class FreezeBreach(RuntimeError):
    """Something frozen trains, could train, or has changed: a defect, ours or a callback's. The run stops."""


class FreezeGuard(L.Callback):
    """Compares the model with the plan, and checksums of what is frozen with those from when it froze.

    Attributes:
        before: Checksums of all tensors as they were before the fit, also in a resumed run.
        checks: Number of comparisons of checksums so far, all of them equal.
        seconds: Time spent in here.
        verified: Whether every comparison found what it should; None before the first.
    """

    def __init__(self, bound: BoundPlan) -> None:
        self.bound = bound
        self.before: Digests = {}
        self.checks = 0
        self.seconds = 0.0
        self.verified: bool | None = None
        self._since: Digests = {}  # what is frozen at the moment, as it was when it froze

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Before a checkpoint is read: the pretrained weights."""
        if stage == "fit":
            with self._timed():
                self.before = digests(self.bound.tensors())

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with self._timed():
            epoch = trainer.current_epoch
            untouched = {name: self.before[name] for name in self._untouched_until(epoch)}
            now = self._compare({**self._since, **untouched}, "before training")  # a resumed run knows since when
            if not self._since:
                self._since = {name: now[name] for name in self.bound.frozen_tensors(epoch)}

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch
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
        """The weights that were tested come from the best checkpoint, perhaps averaged or interpolated."""
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
            *mode_problems(self.bound, epoch),
            *optimizer_problems(self.bound, trainer.optimizers),
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


_BLAME = "the run is not what its plan says, look for a callback that changes them"


def requires_grad_problems(bound: BoundPlan, epoch: int) -> Iterator[str]:
    """Parameters whose `requires_grad` or gradient is not what the plan says for `epoch`."""
    trainable = bound.trainable(epoch)
    for name, tensor in bound.tensors().items():
        if not isinstance(tensor, nn.Parameter):
            continue
        if name in trainable and not tensor.requires_grad:
            yield f"{name} should train, but requires no gradient"
        elif name not in trainable and tensor.requires_grad:
            yield f"{name} is frozen, but requires a gradient"
        elif name not in trainable and tensor.grad is not None:
            yield f"{name} is frozen, but has a gradient"


def mode_problems(bound: BoundPlan, epoch: int) -> Iterator[str]:
    """Modules of frozen stages, and of a resting head, that are in train mode; BatchNorms too where the plan keeps
    their statistics."""
    backbone = bound.backbone
    called = (name for i in bound.training_stages(epoch) for name in backbone.stages[i].modules)
    inside = {id(module) for name in called for module in backbone.model.get_submodule(name).modules()}
    for name, module in backbone.model.named_modules():
        kept = isinstance(module, _BatchNorm) and bound.plan.batchnorm == "eval"
        if name and module.training and (kept or id(module) not in inside):
            yield f"backbone.model.{name} is frozen, but in train mode"
    if not bound.plan.phase(epoch).head and any(module.training for module in bound.head.modules()):
        yield "head is frozen, but in train mode"


def optimizer_problems(bound: BoundPlan, optimizers: list[Any]) -> Iterator[str]:
    """Parameters that the optimizers hold and never train, lack although they train, or hold twice."""
    held = Counter(id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"])
    names = {id(tensor): name for name, tensor in bound.tensors().items()}
    wanted = {id(p): name for name, p in bound.ever_trainable().items()}
    for key, count in held.items():
        name = names.get(key, "an unknown parameter")
        if key not in wanted:
            yield f"{name} never trains, but the optimizer holds it"
        elif count > 1:
            yield f"{name} is in the optimizer {count} times"
    yield from (f"{name} trains, but no optimizer holds it" for key, name in wanted.items() if key not in held)


def agree_across_processes(bound: BoundPlan) -> None:
    """With several processes: all hold bitwise the same parameters."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return
    mine = combined(digests({n: t for n, t in bound.tensors().items() if isinstance(t, nn.Parameter)}))
    everyones: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    if len(set(everyones)) > 1:
        raise FreezeBreach("the processes hold different parameters; their gradients were not averaged")

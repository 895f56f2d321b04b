"""fastai's `Learner.freeze`, `freeze_to` and one `fit` per phase, which is what `fine_tune` does."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from fastai.callback.all import (  # type: ignore[import-not-found]
    BnFreeze,
    SaveModelCallback,
)
from fastai.distributed import DistributedDL  # type: ignore[import-not-found]
from fastai.learner import Callback, DataLoaders, Learner  # type: ignore[import-not-found]
from fastai.optimizer import SGD  # type: ignore[import-not-found]
from fastai_schedules import factor, schedule_callbacks
from peer import HEAD_RATE, MOMENTUM, WEIGHT_DECAY, CannotDo, Job, Moment, Schedule, Watch
from tiny import BATCHES, TinyNet, train_loader, validation_loader
from torch import Tensor

NO_TRAIN_BN = "train_bn=False"
BN_FREEZE = "train_bn=False and the callback BnFreeze"
LOAD_ALONE = "load() alone, freeze_to not repeated"
NO_CUDA = "the .cuda() call in DistributedDL taken out"
FROZEN, THAWED = -1, -3  # groups are the three blocks and the head: all but the head frozen; two blocks thawed
SETTINGS = {
    "frozen_batchnorm": (NO_TRAIN_BN, BN_FREEZE),
    "frozen_weights": (NO_TRAIN_BN,),
    "optimizer_only_what_trains": (NO_TRAIN_BN,),
    "resume": (LOAD_ALONE,),
    "two_processes": (NO_CUDA,),
}


@dataclass(frozen=True)
class Phase:
    """Epochs [first, last) of the job, with the groups before `freeze_to` frozen."""

    first: int
    last: int
    freeze_to: int


def phases(job: Job) -> list[Phase]:
    """One fit each."""
    cuts = [(0, FROZEN), (job.thaw_at, THAWED), (job.refreeze_at, FROZEN)]
    ends = [min(cut[0], job.epochs) for cut in cuts[1:]] + [job.epochs]
    return [Phase(first, last, to) for (first, to), last in zip(cuts, ends, strict=True) if first < last]


class WatchCallback(Callback):  # type: ignore[misc]
    """Reports the moments, and tells the sampler the epoch of the job."""

    order = 100  # after the callbacks that set modes and rates

    def __init__(self, net: TinyNet, watch: Watch, sampler: Any, first: int) -> None:
        self.net, self.watch, self.sampler, self.first_epoch = net, watch, sampler, first

    def before_train(self) -> None:
        self.sampler.set_epoch(self.first_epoch + self.learn.epoch)
        self._report("start")

    def before_step(self) -> None:
        self._report("step")

    def after_train(self) -> None:
        self._report("end")

    def _report(self, when: Any) -> None:
        groups = self.learn.opt.param_groups
        rates = {id(p): float(group["lr"]) for group in groups for p in group["params"]}
        state = self.learn.opt.state
        tensors = {id(p) for p, s in state.items() if any(isinstance(v, Tensor) for v in s.values())}
        self.watch(Moment(when, self.first_epoch + self.learn.epoch, self.net, rates, frozenset(tensors)))


class FastaiLearner:
    """The adapter."""

    title = "fastai Learner"
    distributions = ("fastai", "accelerate")  # the second for two processes
    thawed_blocks = (1, 2)
    settings = SETTINGS

    def train(self, net: TinyNet, job: Job, watch: Watch) -> None:
        refuse(job)
        learn = _learner(net, job)
        done = _epochs_done(job.resume) if isinstance(job.resume, Path) else 0
        with learn.no_bar(), learn.no_logging(), _processes(learn, job):
            for phase in phases(job):
                if phase.last > done:
                    _prepare(learn, phase, job, done)
                    _fit(learn, phase, job, start=max(done - phase.first, 0), watch=watch)

    def checkpoint(self, job: Job, epochs: int) -> Path:
        (phase,) = (p for p in phases(job) if p.first < epochs <= p.last)
        return job.folder / "models" / f"{_name(phase)}_{epochs - 1 - phase.first}.pth"

    def schedule_factor(self, schedule: Schedule, job: Job) -> list[float] | None:
        factors = []
        for phase in phases(job):
            steps = (phase.last - phase.first) * BATCHES
            factors += [factor(schedule, step / steps, epoch=step // BATCHES) for step in range(steps)]
        return factors


def refuse(job: Job) -> None:
    """What fastai has no equivalent of."""
    if job.averaging:
        raise CannotDo("no weight averaging in the package")
    if job.apart:
        raise CannotDo("every group is in the optimizer from the start")
    if job.resume == "last":
        raise CannotDo("no such argument")


def _learner(net: TinyNet, job: Job) -> Any:
    groups = [*net.blocks, net.head]
    return Learner(
        DataLoaders(train_loader(job.rank), validation_loader()),
        net,
        loss_func=F.cross_entropy,
        opt_func=partial(SGD, mom=MOMENTUM),
        splitter=lambda _: [list(group.parameters()) for group in groups],
        cbs=[BnFreeze()] if job.setting == BN_FREEZE else [],
        path=job.folder,
        wd=WEIGHT_DECAY,
        train_bn=job.setting not in (NO_TRAIN_BN, BN_FREEZE),
    )


@contextlib.contextmanager
def _processes(learn: Any, job: Job) -> Iterator[None]:
    if job.processes == 1:
        yield
        return
    if job.setting == NO_CUDA:
        DistributedDL._broadcast = _broadcast_on_cpu
    with learn.distrib_ctx(sync_bn=False, cpu=True):  # SyncBatchNorm is for GPUs
        yield


def _broadcast_on_cpu(self: Any, indices: list[int], rank: int) -> list[int]:
    tensor = torch.tensor(indices)
    torch.distributed.broadcast(tensor, rank)
    values: list[int] = tensor.tolist()
    return values


def _prepare(learn: Any, phase: Phase, job: Job, done: int) -> None:
    """Freeze as the phase wants. The checkpoint holds neither phase nor flags: the caller repeats the call."""
    inside = phase.first < done  # the checkpoint was written within this phase
    if isinstance(job.resume, Path) and phase.first == done:
        learn.load(job.resume.with_suffix(""), with_opt=True)
    if not (inside and job.setting == LOAD_ALONE):
        learn.freeze_to(phase.freeze_to)  # it also clears the optimizer's state
    if isinstance(job.resume, Path) and inside:
        learn.load(job.resume.with_suffix(""), with_opt=True)


def _fit(learn: Any, phase: Phase, job: Job, *, start: int, watch: Watch) -> None:
    epochs, rate = phase.last - phase.first, slice(HEAD_RATE)
    callbacks = [WatchCallback(learn.model, watch, learn.dls.loaders[0].sampler, phase.first)]
    if job.keep_checkpoints:
        callbacks.append(SaveModelCallback(fname=_name(phase), every_epoch=True, with_opt=True))
    if job.schedule == "OneCycle":
        learn.fit_one_cycle(epochs, rate, cbs=callbacks)
    elif job.schedule == "cosine":
        learn.fit_flat_cos(epochs, rate, cbs=callbacks)
    else:
        learn.fit(epochs, rate, cbs=[*callbacks, *schedule_callbacks(job.schedule)], start_epoch=start)


def _name(phase: Phase) -> str:
    return f"from_{phase.first}"


def _epochs_done(path: Path) -> int:
    """`from_2_0.pth` is the checkpoint after the first epoch of the phase that starts at 2."""
    first, index = path.stem.split("_")[1:] if path.stem.startswith("from_") else ("0", "-1")
    return int(first) + int(index) + 1


PEER = FastaiLearner()

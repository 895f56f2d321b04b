"""The `FinetuningScheduler` callback with an explicit schedule: phase 0 the head, phase 1 the last two blocks."""

from pathlib import Path

import lightning as L
from finetuning_scheduler import FinetuningScheduler, FTSCheckpoint  # type: ignore[import-not-found]
from lightning_side import BackboneEval, TinyModule, WatchCallback, epoch_checkpoints, fit
from peer import BACKBONE_RATE, NEVER, CannotDo, Job, Schedule, Watch
from tiny import TinyNet

NO_TRACKING = "frozen_bn_track_running_stats=False"
EVAL = "frozen_bn_track_running_stats=False and backbone.eval() by hand"
LAMBDAS = "apply_lambdas_new_pgs=True"
UNTESTED = "apply_lambdas_new_pgs=True and allow_untested=True"
ARGUMENT = "fit(ckpt_path=...) instead of trainer.ckpt_path"
FIND_UNUSED = "ddp_find_unused_parameters_true"
SETTINGS = {
    "frozen_batchnorm": (NO_TRACKING, EVAL),
    "schedulers": (LAMBDAS, UNTESTED),
    "resume": (ARGUMENT,),
    "two_processes": (FIND_UNUSED,),
    "refuses_swa": (NO_TRACKING,),
}


class FinetuningSchedulerCallback:
    """The adapter. Phases change at a given epoch, so that all peers thaw at the same time."""

    title = "finetuning-scheduler"
    distributions = ("finetuning-scheduler", "lightning")
    thawed_blocks = (1, 2)
    settings = SETTINGS

    def train(self, net: TinyNet, job: Job, watch: Watch) -> None:
        if job.refreeze_at != NEVER:
            raise CannotDo("a schedule only thaws")
        if job.apart:
            raise CannotDo("phases lie at least an epoch apart")
        module = TinyModule(net, job, parameters_of=lambda module: (p for p in module.parameters() if p.requires_grad))
        callbacks = [_scheduler(job), *([BackboneEval()] if job.setting == EVAL else [])]
        callbacks += [WatchCallback(net, watch), epoch_checkpoints(job, FTSCheckpoint)]
        strategy = "auto" if job.processes == 1 else job.setting or "ddp"
        as_argument = job.setting == ARGUMENT or job.resume in (None, "last")
        fit(module, job, callbacks, strategy=strategy, path_on_trainer=not as_argument)

    def checkpoint(self, job: Job, epochs: int) -> Path:
        return job.folder / "checkpoints" / f"epoch={epochs - 1}.ckpt"

    def schedule_factor(self, schedule: Schedule, job: Job) -> list[float] | None:
        return None


def _scheduler(job: Job) -> L.Callback:
    phases = {
        0: {"params": [r"head\..*"], "max_transition_epoch": job.thaw_at},
        1: {"params": [r"backbone\.[12]\..*"], "lr": BACKBONE_RATE, "max_transition_epoch": job.epochs},
    }
    callback: L.Callback = FinetuningScheduler(
        ft_schedule=phases,
        epoch_transitions_only=True,
        apply_lambdas_new_pgs=job.setting in (LAMBDAS, UNTESTED),
        allow_untested=job.setting == UNTESTED,
        frozen_bn_track_running_stats=job.setting not in (NO_TRACKING, EVAL),
    )
    return callback


PEER = FinetuningSchedulerCallback()

"""Lightning's `BackboneFinetuning`, as its docstring shows it: the optimizer gets the head, the callback the rest."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning
from lightning_side import BackboneEval, TinyModule, WatchCallback, epoch_checkpoints, fit
from peer import BACKBONE_RATE, NEVER, Job, Schedule, Watch
from tiny import TinyNet

NO_TRAIN_BN = "freeze(train_bn=False)"
EVAL = "freeze(train_bn=False) and backbone.eval() by hand"
CONSTANT = "lambda_func=lambda epoch: 1.0"
FIND_UNUSED = "ddp_find_unused_parameters_true"
SETTINGS = {
    "frozen_batchnorm": (NO_TRAIN_BN, EVAL),
    "frozen_weights": (NO_TRAIN_BN,),
    "schedulers": (CONSTANT,),
    "refuses_swa": (NO_TRAIN_BN,),
    "two_processes": (FIND_UNUSED,),
}


class FrozenNorm(BackboneFinetuning):
    """Freezes BatchNorm too: `BackboneFinetuning` leaves it training whatever its `train_bn` says."""

    def freeze_before_training(self, pl_module: L.LightningModule) -> None:
        self.freeze(pl_module.backbone, train_bn=False)


class Refreezing(BackboneFinetuning):
    """`BaseFinetuning.freeze`, the documented call, in the hook that is there for it."""

    def __init__(self, job: Job) -> None:
        super().__init__(unfreeze_backbone_at_epoch=job.thaw_at)
        self.refreeze_at = job.refreeze_at
        self.freeze_norm_trains = job.setting != NO_TRAIN_BN

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if epoch < self.refreeze_at:
            super().finetune_function(pl_module, epoch, optimizer)
        elif epoch == self.refreeze_at:
            self.freeze(pl_module.backbone, train_bn=self.freeze_norm_trains)


class BlockByBlock(BaseFinetuning):
    """A group per block, for a learning rate per block: one `unfreeze_and_add_param_group` each."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.backbone)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        if epoch == self.epoch:
            for block in (2, 1, 0):
                self.unfreeze_and_add_param_group(pl_module.backbone[block], optimizer, lr=BACKBONE_RATE)


class LightningBackbone:
    """The adapter. `BackboneFinetuning` thaws the whole backbone."""

    title = "Lightning BackboneFinetuning"
    distributions = ("lightning",)
    thawed_blocks = (0, 1, 2)
    settings = SETTINGS

    def train(self, net: TinyNet, job: Job, watch: Watch) -> None:
        module = TinyModule(net, job, parameters_of=lambda module: module.head.parameters())
        callbacks = [_finetuning(job), *([BackboneEval()] if job.setting == EVAL else [])]
        callbacks += [WatchCallback(net, watch), epoch_checkpoints(job)]
        strategy = "auto" if job.processes == 1 else job.setting or "ddp"
        fit(module, job, callbacks, strategy=strategy, path_on_trainer=False)

    def checkpoint(self, job: Job, epochs: int) -> Path:
        return job.folder / "checkpoints" / f"epoch={epochs - 1}.ckpt"

    def schedule_factor(self, schedule: Schedule, job: Job) -> list[float] | None:
        return None


def _finetuning(job: Job) -> L.Callback:
    if job.apart:
        return BlockByBlock(job.thaw_at)
    if job.refreeze_at != NEVER:
        return Refreezing(job)
    if job.setting in (NO_TRAIN_BN, EVAL):
        return FrozenNorm(unfreeze_backbone_at_epoch=job.thaw_at)
    if job.setting == CONSTANT:
        return BackboneFinetuning(unfreeze_backbone_at_epoch=job.thaw_at, lambda_func=lambda epoch: 1.0)
    return BackboneFinetuning(unfreeze_backbone_at_epoch=job.thaw_at)


PEER = LightningBackbone()

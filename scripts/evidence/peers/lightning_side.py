"""The tiny net as a LightningModule, and a trainer that reports moments: shared by the peers that are callbacks."""

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from check_rates import BY_STEP, plateau
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from peer import HEAD_RATE, MOMENTUM, WEIGHT_DECAY, Job, Moment, Watch
from tiny import EpochSampler, TinyNet, scaled, train_loader, validation_loader
from torch import Tensor

Batch = tuple[Tensor, Tensor]
ParametersOf = Callable[[Any], Iterator[torch.nn.Parameter]]


class TinyModule(L.LightningModule):
    """The documented shape: attributes `backbone` and `head`, an optimizer and perhaps a scheduler.

    Args:
        parameters_of: What the optimizer gets, as the peer documents it.
    """

    def __init__(self, net: TinyNet, job: Job, *, parameters_of: ParametersOf) -> None:
        super().__init__()
        self.backbone, self.head = net.backbone, net.head
        self.job, self.parameters_of = job, parameters_of

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(scaled(images)))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("val_loss", loss, sync_dist=True)
        self.log("flat", torch.ones(()), sync_dist=True)  # never improves: what ReduceLROnPlateau waits for

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(
            self.parameters_of(self), lr=HEAD_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
        schedule = self.job.schedule
        if schedule is None:
            return optimizer
        if schedule == "plateau":
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau(optimizer), "monitor": "flat"}}
        scheduler = BY_STEP[schedule](optimizer, self.job.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class WatchCallback(L.Callback):
    """Calls the watch with the state that the trainer is in; placed after the peer's own callback."""

    def __init__(self, net: TinyNet, watch: Watch) -> None:
        self.net, self.watch = net, watch

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.watch(self._moment(trainer, "start"))

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.watch(self._moment(trainer, "step"))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.watch(self._moment(trainer, "end"))

    def _moment(self, trainer: L.Trainer, when: Any) -> Moment:
        (optimizer,) = trainer.optimizers
        rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
        tensors = {id(p) for p, s in optimizer.state.items() if any(isinstance(v, Tensor) for v in s.values())}
        return Moment(when, trainer.current_epoch, self.net, rates, frozenset(tensors))


class BackboneEval(L.Callback):
    """The usual recipe around a finetuning callback: eval mode by hand at every epoch start."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.backbone.eval()


def fit(module: TinyModule, job: Job, callbacks: list[L.Callback], *, strategy: str, path_on_trainer: bool) -> None:
    """Train as the job says, with Lightning's defaults for what it does not say.

    Args:
        path_on_trainer: Hand the checkpoint over as `trainer.ckpt_path`, not as an argument of `fit`.
    """
    averaging = [StochasticWeightAveraging(swa_lrs=HEAD_RATE, swa_epoch_start=1)] if job.averaging else []
    trainer = L.Trainer(
        max_epochs=job.epochs,
        callbacks=[*callbacks, *averaging],
        accelerator="cpu",
        devices=job.processes,
        default_root_dir=job.folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # every rank has images of its own already
        strategy=strategy,
    )
    loader = train_loader(job.rank)
    assert isinstance(loader.sampler, EpochSampler)  # Lightning tells it the epoch
    if path_on_trainer:
        trainer.ckpt_path = job.resume
    trainer.fit(module, loader, validation_loader(), ckpt_path=None if path_on_trainer else job.resume)


def epoch_checkpoints(job: Job, kind: type[ModelCheckpoint] = ModelCheckpoint) -> ModelCheckpoint:
    """One file per epoch where the job wants them, otherwise the best by validation loss."""
    keep = -1 if job.keep_checkpoints else 1
    return kind(dirpath=job.folder / "checkpoints", filename="{epoch}", monitor="val_loss", save_top_k=keep)

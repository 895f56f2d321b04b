"""Thawline's own parts on the tiny net: `BoundPlan`, `TransferClassifier`, and the callbacks that a run has."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from lightning_side import WatchCallback
from peer import BACKBONE_RATE, HEAD_RATE, MOMENTUM, NEVER, PLATEAU_FACTOR, WEIGHT_DECAY, Job, Schedule, Watch
from tiny import BATCHES, IMAGE_SIZE, NUM_CLASSES, TinyNet, train_loader, validation_loader

from thawline.callbacks.best_and_last import LAST, LastCheckpoint
from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeGuard
from thawline.callbacks.refusals import refuse_unsafe
from thawline.callbacks.seed_each_step import SeedEachStep
from thawline.freezing.bound_plan import BoundPlan, bind
from thawline.freezing.certificate import certificate, write_certificate
from thawline.models.backbone import Backbone
from thawline.models.digests import digests
from thawline.runs.resume import run_dir
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps

# Our schedules; `lambda` is the one that is a function of the step and of nothing else.
SCHEDULES: dict[Schedule, str] = {
    "OneCycle": "one_cycle", "cosine": "cosine", "lambda": "constant", "plateau": "plateau",
}  # fmt: skip
SETTINGS: dict[str, tuple[str, ...]] = {}  # the defaults are all there is


class ThawlinePlan:
    """The adapter. Everything but the data is what `thawline.runs.fit` puts together."""

    title = "Thawline"
    distributions = ("thawline", "lightning")
    thawed_blocks = (1, 2)
    settings = SETTINGS

    def train(self, net: TinyNet, job: Job, watch: Watch) -> None:
        if job.resume == "last" or (job.resume and not job.resume.is_file()):
            run_dir(str(job.folder if job.resume == "last" else job.resume.parent), "")  # what `resume=` goes through
        if job.resume:  # a resumed run starts from the pretrained weights that its record names, and checks them
            net.load_state_dict(TinyNet(seed=0).state_dict())
        bound = bind(_strategy(job), Backbone(net.backbone, name="tiny", image_size=IMAGE_SIZE), net.head)
        bound.apply(0)
        model, guard = _model(bound, job), FreezeGuard.bound_to(bound)
        averaging: list[L.Callback] = [StochasticWeightAveraging(swa_lrs=HEAD_RATE)] if job.averaging else []
        refuse_unsafe(averaging, bound)
        last, best = LastCheckpoint(job.folder), ModelCheckpoint(job.folder, filename="best", monitor="val/accuracy")
        watching = WatchCallback(net, watch)
        trainer = L.Trainer(
            accelerator="cpu", devices=job.processes, strategy="ddp" if job.processes > 1 else "auto",
            max_epochs=job.epochs, use_distributed_sampler=False, default_root_dir=job.folder, logger=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            callbacks=[last, FreezeCallback.bound_to(bound), SeedEachStep(0), watching, *averaging, guard, best],
        )  # fmt: skip
        trainer.fit(model, train_loader(job.rank), validation_loader(), ckpt_path=job.resume, weights_only=True)
        after = digests({name: tensor for name, tensor in model.state_dict().items() if name in bound.tensors()})
        write_certificate(
            job.folder, certificate(bound, before=guard.before, after=after, tested=after, num_epochs=job.epochs)
        )

    def checkpoint(self, job: Job, epochs: int) -> Path:
        return job.folder / LAST

    def schedule_factor(self, schedule: Schedule, job: Job) -> list[float] | None:
        if schedule == "plateau":
            return None
        net = TinyNet()
        bound = bind(_strategy(job), Backbone(net.backbone, name="tiny", image_size=IMAGE_SIZE), net.head)
        model = _model(bound, job)
        return [model.rates.factor(bound.plan.stage_names[-1], step) for step in range(job.steps)]


def _strategy(job: Job) -> StrategySettings:
    phases: list[dict[str, Any]] = [{"from_epoch": 0, "stages": ["head"]}]
    if job.thaw_at != NEVER:
        phases.append({"from_epoch": job.thaw_at, "stages": ["head", -1, -2]})
    if job.refreeze_at != NEVER:
        phases.append({"from_epoch": job.refreeze_at, "stages": ["head"]})
    return StrategySettings("peers", phases=phases)


def _model(bound: BoundPlan, job: Job) -> TransferClassifier:
    optim = OptimSettings(
        name="sgd", lr=HEAD_RATE, backbone_lr=BACKBONE_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY,
        schedule=SCHEDULES[job.schedule] if job.schedule else "constant", warmup_fraction=0.3 if job.schedule else 0.0,
        plateau_factor=PLATEAU_FACTOR, plateau_patience=0,
    )  # fmt: skip
    steps = Steps(BATCHES, BATCHES, job.steps, job.epochs, 1.0)
    return TransferClassifier(bound, num_classes=NUM_CLASSES, optim=optim, steps=steps)


PEER = ThawlinePlan()

"""Fit, choose the weights, test them once, prove what stayed frozen, and log the end."""

import contextlib
import functools
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from torch import Tensor

from thawline.callbacks.checkpoint_files import CheckpointFiles
from thawline.callbacks.cost import CostCallback
from thawline.callbacks.lost_process import lost_process_explained
from thawline.callbacks.stop_diverged import Diverged
from thawline.errors import UserError, first_line
from thawline.freezing.certificate import certificate, epochs_in, write_certificate
from thawline.machine.processes import is_main
from thawline.machine.sigterm import Terminated
from thawline.machine.utf8_path import utf8_path
from thawline.models.adapted_names import plain_names
from thawline.models.digests import digests
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.record_sections import ClassesSection, FreezeSection
from thawline.report.run_record import RunRecord
from thawline.runs.deliver import deliver
from thawline.runs.divergence import best_is_tested, told_at_the_end
from thawline.runs.finals import log_end
from thawline.runs.learned_nothing import doubts
from thawline.runs.make import make
from thawline.runs.parts import Parts
from thawline.runs.resume import Boundary
from thawline.runs.tested_weights import Tested, choose
from thawline.runs.tracked import RunLogs
from thawline.runs.watchers import Said, Watchers, all_callbacks, make_watchers

_log = logging.getLogger(__name__)


def fit_and_test(
    parts: Parts, record: RunRecord, said: Said, *, cost: CostCallback, boundary: Boundary | None, logs: RunLogs
) -> None:
    """Train from `boundary`, or from the start; `record` learns metrics, cost and the state of the freeze.

    Args:
        said: Where and what the run writes.
        cost: Since the run began.
        logs: Opened here.
    """
    folder, watch = said.folder, make_watchers(parts, record, folder=said.folder, cost=cost)
    first_step = boundary.step if boundary else None
    loggers = logs.open(parts.settings, record, folder, first_step=first_step)
    callbacks = all_callbacks(parts, watch, said)
    trainer = _trainer(parts, loggers, callbacks, folder=folder)
    trainer.strategy.checkpoint_io = CheckpointFiles(tested_only=watch.best.best)
    ended = functools.partial(_ended, trainer, parts, watch, record, f"go on with resume={said.resumed_as}")
    with ended():
        pretrained = _pretrained(parts)
        diverged = _fit(trainer, parts, boundary, watch)
    fit_ended, final_step = time.perf_counter(), trainer.global_step
    with told_at_the_end(diverged, record, folder):
        with ended():
            if diverged is None:
                watch.last.write_end(trainer)
            tested = _settled_weights(trainer, parts, watch, record, pretrained, diverged=diverged is not None)
            _test_settled(trainer, parts, watch, record, begun=trainer.current_epoch + (diverged is not None))
        record.progress.doing = "saving the model"
        per_hour = parts.settings.cost.per_hour
        record.cost = cost.settle(tested_since=fit_ended, cache_s=record.cache.seconds, per_hour=per_hour)
        if is_main():
            _leave(parts, watch, record, tested, folder=folder)
            log_end(loggers, parts, record, watch, step=final_step)
        logs.close()


@contextlib.contextmanager
def _ended(trainer: L.Trainer, parts: Parts, watch: Watchers, record: RunRecord, way_on: str) -> Iterator[None]:
    """Around what the trainer does: its ways to end as this project's, and the record says how far it got."""
    try:
        with _errors_of_lightning(), lost_process_explained(way_on):
            yield
    finally:
        watch.progress.note(trainer)
        _note_end(record, parts, watch, num_epochs=trainer.current_epoch)


@contextlib.contextmanager
def _errors_of_lightning() -> Iterator[None]:
    """Lightning's ways to end, as this project's."""
    try:
        yield
    except Terminated:
        raise
    except MisconfigurationException as error:  # a limit that leaves no batch, for one
        raise UserError(f"trainer: {first_line(error)}") from error
    except SystemExit as stop:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from stop


def _fit(trainer: L.Trainer, parts: Parts, boundary: Boundary | None, watch: Watchers) -> Diverged | None:
    """Train; returns how it diverged, where the best weights are to be tested all the same."""
    checkpoint = boundary.checkpoint if boundary else None
    try:
        trainer.fit(parts.model, datamodule=parts.data, ckpt_path=checkpoint, weights_only=True)
    except Diverged as error:
        if not best_is_tested(parts.settings.trainer, watch.best):
            raise
        for callback in (watch.cost, *([watch.guard] if watch.guard else [])):  # Lightning left that out
            callback.on_train_end(trainer, parts.model)
        return error
    return None


def _pretrained(parts: Parts) -> dict[str, Tensor]:
    """The weights before the fit, where those that are tested are mixed with them; else nothing."""
    if parts.settings.regularize.wise_ft_shares == [1.0]:
        return {}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in parts.bound.tensors().items()}


def _settled_weights(
    trainer: L.Trainer,
    parts: Parts,
    watch: Watchers,
    record: RunRecord,
    pretrained: dict[str, Tensor],
    *,
    diverged: bool,
) -> Tested:
    """What best.ckpt holds, which is tested; `record` learns how it validates."""
    tested = choose(trainer, parts, watch, pretrained=pretrained, diverged=diverged)
    record.metrics, record.strategy.wise_ft = tested.scores.metrics, tested.share
    record.strategy.tested_weights, record.strategy.tested_why = tested.rule, tested.why
    if tested.expected is not None:
        record.expected = tested.expected.on(record.data.num_test)
    return tested


def _test_settled(trainer: L.Trainer, parts: Parts, watch: Watchers, record: RunRecord, *, begun: int) -> None:
    """Test what best.ckpt holds; `record` learns how. `begun` epochs were."""
    best = load_checkpoint(watch.best.best)
    record.best_epoch = min(int(best["epoch"]) + 1, begun)
    if (penalties := parts.settings.optim.penalties) is not None:
        record.strategy.penalty = penalties[record.best_epoch - 1]
    record.metrics |= _test(trainer, parts, best["state_dict"])
    record.classes = _classes(parts)


def _test(trainer: L.Trainer, parts: Parts, weights: dict[str, Tensor]) -> dict[str, float]:
    parts.model.load_state_dict(weights)
    (metrics,) = trainer.test(parts.model, datamodule=parts.data, verbose=False)
    if doubt := doubts(parts.model.test_counts, parts.data.source.class_names):
        _log.warning("Note: %s.", doubt)
    return {key: float(value) for key, value in metrics.items()}


def _classes(parts: Parts) -> ClassesSection:
    """Names, and the confusion matrix of the test; of very many classes only the names."""
    confusion = parts.model.test_counts.confusion
    return ClassesSection(list(parts.data.source.class_names), None if confusion is None else confusion.tolist())


def _freeze_section(parts: Parts, watch: Watchers, num_epochs: int) -> FreezeSection:
    frozen = parts.bound.plan.num_stages - len(parts.bound.until(max(1, num_epochs)).ever_training())
    if watch.guard is None:
        return FreezeSection(None, 0, frozen)
    return FreezeSection(watch.guard.verified, watch.guard.checks, frozen, round(watch.guard.seconds, 4))


def _note_end(record: RunRecord, parts: Parts, watch: Watchers, *, num_epochs: int) -> None:
    """What the record says also of a run that failed."""
    record.curves = watch.curves.curves
    record.freeze = _freeze_section(parts, watch, num_epochs)
    if parts.model.in_parts is not None:
        record.machine.step_images = parts.model.in_parts.limit
    if watch.threads is not None:
        record.machine.threads, record.machine.thread_choices = watch.threads.number, watch.threads.changes


def _leave(parts: Parts, watch: Watchers, record: RunRecord, tested: Tested, *, folder: Path) -> None:
    """The portable model and the freeze certificate."""
    best = load_checkpoint(watch.best.best)
    deliver(parts, record, best["state_dict"], judged=tested.judged, test=watch.mistakes.answers, folder=folder)
    if tested.left_out is not None:
        tested.left_out.save(folder)
    _prove(parts, watch, record, best, folder=folder)


def _prove(parts: Parts, watch: Watchers, record: RunRecord, best: dict[str, Any], *, folder: Path) -> None:
    """Write the freeze certificate: checksums before, after, and of `best`, the checkpoint that was tested."""
    if watch.guard is None:
        return
    last = load_checkpoint(watch.last.path)
    num_epochs = epochs_in(last, best)
    proof = certificate(
        parts.bound.until(num_epochs),
        before=watch.guard.before,
        after=digests(plain_names(last["state_dict"])),
        tested=digests(plain_names(best["state_dict"])),
        num_epochs=num_epochs,
    )
    about = {"run_id": record.run_id, "seed": record.seed, "model": vars(record.model)}
    write_certificate(folder, {**about, **proof})


def _trainer(parts: Parts, loggers: list[Logger], callbacks: list[L.Callback], *, folder: Path) -> L.Trainer:
    settings, steps = parts.settings.trainer, parts.steps
    arguments: dict[str, Any] = {"strategy": "ddp" if settings.num_processes > 1 else "auto"}
    if parts.settings.optim.epochs is not None:  # an epoch is one step; each is logged
        arguments["log_every_n_steps"] = 1
    trainer: L.Trainer = make(
        settings.arguments,
        "trainer",
        **arguments,
        use_distributed_sampler=False,
        max_epochs=steps.epochs,
        max_steps=-1,
        limit_train_batches=steps.batches,
        logger=loggers,
        callbacks=callbacks,
        accelerator=parts.compute.device.type,
        precision=parts.compute.precision.trainer,
        val_check_interval=steps.validate_every,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        default_root_dir=utf8_path(folder),
    )
    return trainer

"""What a run says before it trains: the data, what will train when, and where it departs from its name."""

import logging

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from thawline.advisor.sizes import size_note
from thawline.freezing.status_table import plan_table, status_table
from thawline.machine.processes import is_main
from thawline.report.run_record import RunRecord
from thawline.runs.parts import Parts

_log = logging.getLogger(__name__)
# BatchNorm's statistics get noisy below this many images a process; Wu and He 2018, "Group Normalization", figure 1.
_SMALL_FOR_BATCHNORM = 16


def announce(cfg: DictConfig, parts: Parts, record: RunRecord, *, resuming: bool) -> None:
    """Log the lines and print the tables."""
    counts = {split: len(indices) for split, indices in parts.data.splits.items()}
    num_images = sum(counts.values())
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    if HydraConfig.get().mode == RunMode.MULTIRUN or resuming:
        where = f" at epoch {parts.epoch + 1} of {parts.steps.epochs}" if resuming else ""
        _log.info("%s %s%s", "Resuming" if resuming else "Run", record.run_id, where)
    _log.info("%s: %s images (%s), %d classes", record.data["name"], f"{num_images:,}", sizes, parts.data.num_classes)
    if (penalties := parts.model.optim.penalties) is not None:
        _log.info(
            "Head: logistic regression by L-BFGS, an epoch for each of %d penalties, %g to %g; trainer.max_epochs does "
            "not apply.",
            len(penalties),
            penalties[0],
            penalties[-1],
        )
    for note in _notes(cfg, parts, record, counts["train"]):
        _log.warning("Note: %s.", note)
    if _bounded(cfg, parts):
        share = parts.steps.total / parts.steps.per_epoch
        told = f"{share:.1%} of one epoch" if share < 1 else f"{share:.1f} epochs"
        key = "trainer=default" if HydraConfig.get().runtime.choices["trainer"] == "bounded" else "trainer.max_steps=-1"
        way_out = "" if resuming else f" Lift the bound with {key}."
        _log.warning("Bounded: training stops after %d steps (%s).%s", parts.steps.total, told, way_out)
    if is_main():
        Console().print(status_table(parts.rows))
        if parts.bound.plan.changes:
            Console().print(plan_table(parts.phase_rows()))
    _log.info("%s", parts.trainable_line)


def _bounded(cfg: DictConfig, parts: Parts) -> bool:
    epochs = parts.model.optim.epochs or cfg.trainer.max_epochs
    return bool(epochs > 0 and parts.steps.total < epochs * parts.steps.per_epoch)


def _notes(cfg: DictConfig, parts: Parts, record: RunRecord, num_train: int) -> list[str]:
    found = [
        size_note(record.scenario, num_train),
        _random_frozen(parts, record),
        _small_batches(parts),
        _unreached(cfg, parts),
        _idle_pull(parts),
    ]
    return [note for note in found if note]


def _random_frozen(parts: Parts, record: RunRecord) -> str | None:
    if record.model["weights"] == "none" and len(parts.bound.ever_training()) < parts.bound.plan.num_stages:
        return "the frozen stages hold random weights; nothing was learned in them, nor will be"
    return None


def _small_batches(parts: Parts) -> str | None:
    batch, bound = parts.data.batch_size, parts.bound
    if bound.plan.batchnorm == "eval" or batch >= _SMALL_FOR_BATCHNORM:
        return None
    if not bound.backbone.holds_batchnorm(bound.ever_training()):
        return None
    return (
        f"batches of {batch} images are small for the BatchNorm statistics of the training stages; "
        f"{_SMALL_FOR_BATCHNORM} or more, or strategy.batchnorm=eval, would be steadier"
    )


def _unreached(cfg: DictConfig, parts: Parts) -> str | None:
    missed = [epoch for epoch in parts.planned.changes if epoch >= parts.steps.epochs]
    if not missed:
        return None
    last = missed[-1] + 1
    way_out = "a higher trainer.max_steps" if _bounded(cfg, parts) else f"trainer.max_epochs={last}"
    return (
        f"training ends after epoch {parts.steps.epochs}, before {len(missed)} of the plan's changes, the last at "
        f"epoch {last}; reach them with {way_out}"
    )


def _idle_pull(parts: Parts) -> str | None:
    regularize = parts.model.regularize
    pulls = {"l2_sp": regularize.l2_sp > 0, "wise_ft": regularize.wise_ft_shares != [1.0]}
    idle = [key for key, on in pulls.items() if on and not parts.bound.ever_training()]
    return f"regularize.{idle[0]} has no effect: no stage of the backbone trains" if idle else None

"""What a run says before it trains: the data, what will train when, and where it departs from its name."""

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from thawline.advisor.guidelines import size_note
from thawline.amounts import plural
from thawline.data.input_spec import LONGEST_KEPT
from thawline.data.near_copies import near_copies_in
from thawline.data.sources.source import ImageSource, IntArray, Split
from thawline.errors import named
from thawline.freezing.status_table import plan_table, status_table
from thawline.machine.processes import is_main
from thawline.models.stacked_head import StackedHead
from thawline.report.run_record import RunRecord
from thawline.runs.context import RunContext
from thawline.runs.imbalance_note import imbalance_note
from thawline.runs.inspection_note import inspection_notes
from thawline.runs.parts import Parts

_log = logging.getLogger(__name__)
# BatchNorm's statistics get noisy below this many images a process; Wu and He 2018, "Group Normalization", figure 1.
_SMALL_FOR_BATCHNORM = 16
_COMPARED = 2000  # images of val and test that are compared with all of train; chosen: seconds with 100,000


def announce(parts: Parts, record: RunRecord, context: RunContext, *, resuming: bool) -> None:
    """Log the lines and print the tables; of the rungs of scenario=auto, the first tells what holds for the images."""
    if context.rung > 1:
        return
    _announce_data(parts, record, context, resuming=resuming)
    if not context.rung:
        _announce_solver(parts)
    seen = [] if resuming else inspection_notes(parts.data.source, record.inspection)
    for note in [*seen, *_notes(parts, record, context)]:
        _log.warning("Note: %s.", note)
    if context.rung:
        return
    if parts.is_bounded:
        _announce_bound(parts, context, resuming=resuming)
    if is_main():
        Console().print(status_table(parts.rows))
        if parts.bound.plan.changes:
            Console().print(plan_table(parts.phase_rows()))
    _log.info("%s", parts.trainable_line)


def _announce_data(parts: Parts, record: RunRecord, context: RunContext, *, resuming: bool) -> None:
    counts = {split: len(indices) for split, indices in parts.data.splits.items()}
    if context.multirun or resuming:
        where = f" at epoch {parts.epoch + 1} of {parts.steps.epochs}" if resuming else ""
        _log.info("%s %s%s", "Resuming" if resuming else "Run", record.run_id, where)
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    images, classes = plural(sum(counts.values()), "image"), plural(parts.data.num_classes, "class", "classes")
    _log.info("%s: %s (%s), %s", record.data.name, images, sizes, classes)


def _announce_solver(parts: Parts) -> None:
    penalties = parts.settings.optim.penalties
    if isinstance(parts.model.head, StackedHead):
        _log.info(
            "Head: %s, averaged, solved for in one step; trainer.max_epochs does not apply.",
            plural(len(parts.model.head.columns), "ridge probe"),
        )
    if penalties is not None:
        _log.info(
            "Head: logistic regression by L-BFGS, an epoch for each of %d penalties, %g to %g; trainer.max_epochs does "
            "not apply.",
            len(penalties),
            penalties[0],
            penalties[-1],
        )


def _announce_bound(parts: Parts, context: RunContext, *, resuming: bool) -> None:
    share = parts.steps.total / parts.steps.per_epoch
    amount = f"{share:.1%} of one epoch" if share < 1 else f"{share:.1f} epochs"
    key = "trainer=default" if context.choices["trainer"] == "bounded" else "trainer.max_steps=-1"
    way_out = "" if resuming else f" Lift the bound with {key}."
    _log.warning("Bounded: training stops after %d steps (%s).%s", parts.steps.total, amount, way_out)


def _notes(parts: Parts, record: RunRecord, context: RunContext) -> list[str]:
    notes = [
        size_note(record.scenario, record.data.num_train),
        _random_frozen(parts),
        _small_batches(parts),
        _not_validated(parts),
        _unreached(parts),
        _idle_pull(parts),
        _idle_augment(parts, context),
        _cropped(parts),
        _near_copies(parts),
        imbalance_note(parts, context),
    ]
    return [note for note in notes if note]


def _random_frozen(parts: Parts) -> str | None:
    if parts.settings.weights == "none" and len(parts.bound.ever_training()) < parts.bound.plan.num_stages:
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


def _not_validated(parts: Parts) -> str | None:
    """Of some classes no image may have come to the validation: folders say what lies in it."""
    source, splits = parts.data.source, parts.data.splits
    seen = set(source.labels[splits["val"]].tolist())
    missing = [name for number, name in enumerate(source.class_names) if number not in seen]
    if not missing:
        return None
    return f"no validation image of {named(missing)}, so nothing that is chosen on validation sees them"


def _unreached(parts: Parts) -> str | None:
    missed = [epoch for epoch in parts.planned.changes if epoch >= parts.steps.epochs]
    if not missed:
        return None
    last = missed[-1] + 1
    way_out = "a higher trainer.max_steps" if parts.is_bounded else f"trainer.max_epochs={last}"
    return (
        f"training ends after epoch {parts.steps.epochs}, before {len(missed)} of the plan's changes, the last at "
        f"epoch {last}; reach them with {way_out}"
    )


def _idle_pull(parts: Parts) -> str | None:
    regularize = parts.settings.regularize
    pulls = {"l2_sp": regularize.l2_sp > 0, "wise_ft": regularize.wise_ft_shares != [1.0]}
    idle = [key for key, on in pulls.items() if on and not parts.bound.ever_training()]
    return f"regularize.{idle[0]} has no effect: no stage of the backbone trains" if idle else None


def _idle_augment(parts: Parts, context: RunContext) -> str | None:
    typed = [text for text in context.overrides if text.startswith("data.augment.")]
    if parts.settings.loader.augment.enabled is not False or not typed or "data.augment.enabled=false" in typed:
        return None
    return (
        f"{typed[0]} has no effect: stages stay frozen, so every epoch shows the same view of an image, which is "
        "stored once; for random views set data.augment.enabled=true, with cache.views=N to store N of each"
    )


def _cropped(parts: Parts) -> str | None:
    sizes = getattr(parts.data.source, "sizes", None)
    return crop_note(sizes, parts.data.source) if sizes is not None and parts.settings.loader.fit == "crop" else None


def _near_copies(parts: Parts) -> str | None:
    source = parts.data.source
    thumbs = getattr(source, "thumbs", None)
    return None if thumbs is None else near_copies_note(thumbs, source, parts.data.splits)


def near_copies_note(thumbs: NDArray[np.uint8], source: ImageSource, splits: Mapping[Split, IntArray]) -> str | None:
    """A note on images of val or test that are near copies of training images, but no byte-identical ones.

    Args:
        thumbs: Every image squeezed to a few pixels, (N, h, w, 3), uint8.
    """
    kept = np.concatenate([splits[split] for split in ("val", "test")])
    kept = np.sort(np.random.default_rng(0).permutation(kept)[:_COMPARED])
    near, like = near_copies_in(thumbs, kept, splits["train"])
    other = source.groups[near] != source.groups[like]  # copies across given splits are told where they are read
    near, like = near[other], like[other]
    if not len(near):
        return None
    way_out = (
        "the splits are given: put them into one"
        if source.splits
        else (
            "keep them together with data.group_by=near_copies, or by a part of their names with 'data.group_by=(...)'"
        )
    )
    return (
        f"{len(near):,} of {len(kept):,} validation and test images that were compared "
        f"{'is' if len(near) == 1 else 'are'} nearly the same as training images, so the accuracy is too high; "
        f"first: {source.describe(int(near[0]))} and {source.describe(int(like[0]))}; {way_out}"
    )


def crop_note(sizes: IntArray, source: ImageSource) -> str | None:
    """A note on images of which the centre crop drops more than a third.

    Args:
        sizes: Width and height in pixels, (N, 2).
    """
    elongated = np.flatnonzero(sizes.max(1) > LONGEST_KEPT * sizes.min(1))
    if not len(elongated):
        return None
    width, height = sizes[elongated[0]]
    return (
        f"the centre crop drops more than a third of {len(elongated):,} of {len(sizes):,} images, first: "
        f"{source.describe(int(elongated[0]))} ({width} x {height}); data.fit=pad or data.fit=squash shows all of them"
    )

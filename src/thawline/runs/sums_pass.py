"""One pass over the images of a stacked probe that keeps sums over them, and of a few images the features."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from thawline.amounts import plural
from thawline.data.sources.source import IntArray, Split
from thawline.data.sources.subset import stratified_subset
from thawline.features.decide import Need
from thawline.features.extract import PrefixRunner
from thawline.features.feature_store import StoredArray
from thawline.features.fill import Extraction, fill, outputs_in_order
from thawline.features.fold_sums import RowFacts
from thawline.features.left_out import Targets
from thawline.features.pieces import pieces_of, share_of
from thawline.features.ridge_probe import NUM_LANDMARKS
from thawline.features.stack import FOLDS
from thawline.features.stored_dataset import STORED, StoredDataset, StoredSplits, groups_and_weights
from thawline.features.wanted import Wanted
from thawline.machine.collectives import computed_by_first, summed_over_processes
from thawline.runs.parts import Parts
from thawline.settings.cache_settings import CacheSettings
from thawline.training.make_solver import targets_of
from thawline.training.stack_sums import KeptRows, StackSums, SumsOfRows, coordinates_of

# Bytes of stored features above which sums are kept. Solving for a stack of all rows takes 6.5 times as much: measured,
# 5,000 rows of 5,360 channels, 107 MB, took 0.70 GB. So 4 GB, half the memory of a small machine: 28,000 images at the
# stages of EfficientNet-Lite0. It does not depend on the machine, so that neither do the results.
MOST_STORED = 600_000_000
# Training images whose features are kept: the standard error of an accuracy on so many is below 0.8 points. Of the
# validation images a quarter as many.
KEPT = 4096
_SEED = 0  # of which images they are; the same for every candidate of scenario=auto, which are compared on them
_log = logging.getLogger(__name__)


def of_the_kept(need: Need, settings: CacheSettings) -> Need | None:
    """What is to be stored where sums are kept of all images; None where all images' features are stored."""
    views = 1 if settings.views == "auto" else int(settings.views)
    num_bytes = need.row_bytes * (views * need.num_train + need.num_val)
    if num_bytes <= min(MOST_STORED, settings.max_gb * 1e9):
        return None
    most = min(KEPT, max(MOST_STORED // need.row_bytes, NUM_LANDMARKS))
    return replace(need, num_train=min(need.num_train, most), num_val=min(need.num_val, most // 4))


@dataclass(frozen=True)
class _Known:
    """What is known of the N images of a split before the pass.

    Attributes:
        images: Their indices in the source, (N,).
        groups: (N,), int64.
        kept: Positions of those whose features are kept, rising.
    """

    images: IntArray
    facts: RowFacts
    groups: Tensor
    kept: IntArray


def sum_stages(parts: Parts, wanted: Mapping[Split, Wanted], how: Extraction, few: Need) -> StoredSplits:
    """Fill `parts.sums`; what is stored of the training images is of those that are kept.

    Args:
        few: What is stored, from `of_the_kept`.
    Raises:
        OSError: The cache cannot be written, or is too small.
        UserError: A feature is not finite.
    """
    readout, start = parts.model.readout, time.perf_counter()
    assert readout is not None
    known = _known(parts, few)
    some = [_some(wanted[split], known[split].kept) for split in STORED]
    arrays = fill(some, parts.bound.backbone, list(readout.taps), how)
    kept = {split: _kept(parts, known[split], of, cut=few.cut) for split, of in zip(STORED, arrays, strict=True)}
    reads = computed_by_first(lambda: coordinates_of(readout, kept["train"]))  # sums in other coordinates do not add up
    runner = PrefixRunner(parts.bound.backbone, readout.taps, how.mode, fused=how.fused)
    for split in STORED:
        sums = SumsOfRows(readout, reads, num_classes=parts.data.num_classes)
        _add_all(sums, wanted[split], known[split], kept[split], runner=runner, how=how)
        if how.team is not None:
            how.team.gather()
        summed_over_processes(sums.sums)
        groups = len(torch.unique(known[split].groups))
        parts.sums[split] = StackSums(readout, reads, (sums.sums,), kept[split], groups, parts.aim.select)
    number = sum(split.num_rows for split in wanted.values())
    _log.info("Summed %s in %.0f s.", plural(number, "image"), time.perf_counter() - start)
    return StoredSplits(few.cut, {"train": arrays[0]}, {"train": known["train"].kept})


def _known(parts: Parts, few: Need) -> dict[Split, _Known]:
    """Folds and weights are those of both splits together, so that their sums add up."""
    data = parts.data
    of = {split: data.splits[split] for split in STORED}
    both = np.concatenate(list(of.values()))
    labels, (groups, weights) = torch.from_numpy(data.source.labels[both]), groups_and_weights(data.source, both)
    targets = Targets(labels, data.num_classes, groups, parts.aim.balanced, weights)
    facts = RowFacts(labels, targets.folds(FOLDS), targets.weights)
    train = len(of["train"])
    known = {}
    rows_of = (slice(0, train), slice(train, None))
    for split, rows, number in zip(STORED, rows_of, (few.num_train, few.num_val), strict=True):
        kept = stratified_subset(labels[rows].numpy(), number, seed=_SEED)
        known[split] = _Known(of[split], facts.some(rows), groups[rows], kept)
    return known


def _some(wanted: Wanted, places: IntArray) -> Wanted:
    return replace(wanted, dataset=wanted.dataset.some(places))


def _kept(parts: Parts, known: _Known, arrays: Sequence[StoredArray], *, cut: int) -> KeptRows:
    places = torch.from_numpy(known.kept)
    every = StoredDataset(arrays, known.facts.labels[places], cut=cut)
    rows = every.everything(*groups_and_weights(parts.data.source, known.images[known.kept]))
    views = len(rows.labels) // len(places)
    targets = targets_of(rows, num_classes=parts.data.num_classes, aim=parts.aim)
    images = torch.from_numpy(known.images[known.kept]).repeat(views)
    return KeptRows(rows.rows, targets, known.facts.folds[places].repeat(views), images)


def _add_all(
    sums: SumsOfRows, wanted: Wanted, known: _Known, kept: KeptRows, *, runner: PrefixRunner, how: Extraction
) -> None:
    """The kept rows, whose features are there, then those of a pass over all others; of them each process its share."""
    if how.first:
        sums.add(kept.features, known.facts.some(torch.from_numpy(known.kept)).repeated(wanted.num_views))
    others = np.delete(np.arange(len(known.images)), known.kept)
    if not len(others):
        return
    facts, rest = known.facts.some(torch.from_numpy(others)).repeated(wanted.num_views), _some(wanted, others)
    rank, size = (0, 1) if how.team is None else (how.team.rank, how.team.size)
    mine = share_of(pieces_of(rest.num_rows, batch=runner.mode.batch_size, processes=size), rank=rank, size=size)
    if not mine:
        return
    done = mine[0].start
    for outputs in outputs_in_order(rest, runner, how, rows=mine):
        rows = torch.cat(outputs, 1)
        sums.add(rows, facts.some(slice(done, done + len(rows))))
        done += len(rows)

"""Features of training and validation images at the stages where unknown images may be told apart."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thawline.data.sources.source import Split
from thawline.data.sources.subset import evenly_spread
from thawline.deploy.calibration import Judged
from thawline.features.activations import Activations
from thawline.features.extract import Tap
from thawline.features.fill import fill
from thawline.features.stored_dataset import STORED
from thawline.features.unknown import Fitted, fit_unknown
from thawline.features.wanted import Wanted
from thawline.machine.number_formats import autocast
from thawline.runs.caching import MOST_KNOWN, extraction, known_cuts, known_taps
from thawline.runs.parts import Parts
from thawline.runs.stack_features import stored_stack_rows

Features = dict[Tap, Tensor]  # of every tap, (N, D)
Rows = tuple[Features, Tensor]  # with the classes (N,)


@dataclass(frozen=True)
class KnownImages:
    """Distances from the classes of the training images, chosen and measured on the validation images.

    Attributes:
        judged: Answers to the validation images.
    """

    fitted: Fitted
    judged: Judged


def fit_known_images(parts: Parts) -> KnownImages:
    """Also for weights that have seen the validation images, whose answers then say nothing."""
    model, data = parts.model, parts.data
    if model.beside is not None:
        train, val = ((r.features, r.targets.labels) for r in stored_stack_rows(parts))
        readout, head = model.beside.readout, model.beside.head
        fitted = _fitted(_split(readout.split(train[0]), train[1]), _split(readout.split(val[0]), val[1]))
        return KnownImages(fitted, _judged(head.to(val[0].device), *val))
    if model.readout is not None:
        train, val = _read(parts, "train"), _read(parts, "val")
        of_train, of_val = (_split(model.readout.split(rows), labels) for rows, labels in (train, val))
        return KnownImages(_fitted(of_train, of_val), _judged(model.head.cpu(), *val))
    every = _computed(parts, "val", most=len(data.splits["val"]))
    judged = _judged(model.head.cpu(), every[0][Tap(model.backbone.num_stages, 1)], every[1])
    behind_train, behind_val = _split(*_computed(parts, "train", most=MOST_KNOWN)), _split(*every)
    before_train, before_val = _frozen(parts) if data.stored("train") is not None else (Features(), Features())
    fitted = _fitted((before_train | behind_train[0], behind_train[1]), (before_val | behind_val[0], behind_val[1]))
    return KnownImages(fitted, judged)


def _fitted(train: Rows, val: Rows) -> Fitted:
    return fit_unknown(*train, *val)


@torch.no_grad()
def _judged(head: nn.Module, features: Tensor, labels: Tensor) -> Judged:
    return Judged(head.eval()(features.float()).float().log_softmax(1), labels, by="validation")


@torch.no_grad()
def _read(parts: Parts, split: Split) -> tuple[Tensor, Tensor]:
    """What a head of several stages reads, (N, D), of the plain images of a split, and their classes.

    Where sums stand for the images, of those whose features are kept.
    """
    model, device = parts.model, parts.compute.device
    assert model.readout is not None
    if parts.sums:
        kept = parts.sums[split].kept
        return kept.features, kept.targets.labels
    if parts.data.stored(split) is not None:
        stored = parts.data.stored_rows(split)
        return stored.rows, stored.labels
    model.to(device).eval()
    rows, labels = [], []
    for images, classes in _batches(parts, split, most=len(parts.data.splits[split])):
        assert isinstance(images, Tensor)
        rows.append(model.readout(model.prefix, images.to(device)).float().cpu())
        labels.append(classes)
    return torch.cat(rows), torch.cat(labels)


def _split(features: dict[Tap, Tensor], labels: Tensor) -> Rows:
    """Of the coarsest grid of every stage, at most `MOST_KNOWN` rows."""
    some = torch.from_numpy(evenly_spread(len(labels), MOST_KNOWN))
    coarsest = {tap.cut: tap for tap in sorted(features, key=lambda tap: -(tap.grid or 1))}
    return {tap: features[tap][some] for tap in coarsest.values()}, labels[some]


def _frozen(parts: Parts) -> tuple[Features, Features]:
    """Pooled features of stages before what is stored, of at most `MOST_KNOWN` images of each split.

    Stored by the run's pass where the images are few and fit; else computed from the images once more. Empty where
    random views are stored: the images as they are would have to be read again.
    """
    cut = parts.bound.first_training
    cuts = known_cuts(parts, before=cut)
    if not cuts or parts.settings.loader.augment.is_random:
        return Features(), Features()
    if taps := known_taps(parts, before=cut):
        with contextlib.suppress(OSError):  # the cache is full, or gone
            return _pooled(parts, taps)
    train, val = (_computed(parts, split, most=MOST_KNOWN, frozen=cuts)[0] for split in STORED)
    return train, val


def _pooled(parts: Parts, taps: Sequence[Tap]) -> tuple[Features, Features]:
    wanted = [Wanted(parts.data.plain_dataset(split), 1, random_views=False) for split in STORED]
    how = extraction(parts, parts.model.prefix, sum(split.num_rows for split in wanted))
    backbone = parts.bound.backbone.to(how.device).eval()
    train, val = (
        {tap: array.rows(range(len(array))).float() for tap, array in zip(taps, arrays, strict=True)}
        for arrays in fill(wanted, backbone, taps, how)
    )
    return train, val


@torch.no_grad()
def _computed(parts: Parts, split: Split, *, most: int, frozen: range | None = None) -> Rows:
    """From what is stored of the images, else from these, at the stages behind that; or from the images at `frozen`."""
    model, device = parts.model.to(parts.compute.device).eval(), parts.compute.device
    parts_of: dict[Tap, list[Tensor]] = {}
    labels = []
    for given, classes in _batches(parts, split, most=most, images=frozen is not None):
        x, start = (given.rows, given.cut) if isinstance(given, Activations) else (given, 0)
        x = x.to(device)
        with autocast(parts.compute.precision.training, device):
            x = model.prefix.normalize(x) if start == 0 else x
            for cut in frozen or range(max(start, 1), model.backbone.num_stages + 1):
                x, start = model.until(x, start=start, stop=cut), cut
                parts_of.setdefault(Tap(cut, 1), []).append(model.backbone.pool(x).float().cpu())
        labels.append(classes)
    return {tap: torch.cat(rows) for tap, rows in parts_of.items()}, torch.cat(labels)


def _batches(
    parts: Parts, split: Split, *, most: int, images: bool = False
) -> Iterator[tuple[Tensor | Activations, Tensor]]:
    data, size = parts.data, parts.data.eval_batch_size
    some = evenly_spread(len(data.splits[split]), most).tolist()
    if not images and (stored := data.stored(split)) is not None:
        for first in range(0, len(some), size):
            yield stored[[(0, index) for index in some[first : first + size]]]
        return
    keys: Sequence[tuple[int, int]] = [(0, index) for index in some]
    yield from DataLoader(data.plain_dataset(split), batch_size=size, sampler=keys, num_workers=data.num_workers)

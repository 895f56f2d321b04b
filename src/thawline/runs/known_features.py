"""Features of training and validation images at the stages where unknown images may be told apart."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.data.sources.source import Split
from thawline.features.activations import Activations
from thawline.features.extract import Tap
from thawline.features.unknown import Fitted, fit_unknown
from thawline.machine.precision import autocast
from thawline.runs.parts import Parts
from thawline.runs.stack_features import stored_stack_rows

MOST_IMAGES = 1000  # images of a split; chosen: eight for each of the dimensions that are kept
Rows = tuple[dict[Tap, Tensor], Tensor]  # features (N, D) of every tap, and classes (N,)


def fit_known_images(parts: Parts) -> Fitted:
    """Distances from the classes of the training images, judged on the validation images."""
    (train, labels), (val, val_labels) = _rows(parts)
    return fit_unknown(train, labels, val, val_labels)


def _rows(parts: Parts) -> tuple[Rows, Rows]:
    model, data = parts.model, parts.data
    if model.readout is not None:
        of_splits = [data.stored_rows("train"), data.stored_rows("val")]
        train, val = (_split(model.readout.split(rows.rows), rows.labels) for rows in of_splits)
    elif model.beside is not None:
        readout = model.beside.readout
        train, val = (_split(readout.split(r.features), r.targets.labels) for r in stored_stack_rows(parts))
    else:
        train, val = _computed(parts, "train"), _computed(parts, "val")
    return train, val


def _split(features: dict[Tap, Tensor], labels: Tensor) -> Rows:
    """Of the coarsest grid of every stage, at most `MOST_IMAGES` rows."""
    some = _spread(len(labels))
    coarsest = {tap.cut: tap for tap in sorted(features, key=lambda tap: -(tap.grid or 1))}
    return {tap: features[tap][some] for tap in coarsest.values()}, labels[some]


def _spread(number: int) -> Tensor:
    """At most `MOST_IMAGES` of so many rows, evenly spread."""
    return torch.from_numpy(np.linspace(0, number - 1, min(number, MOST_IMAGES)).round().astype(np.int64))


@torch.no_grad()
def _computed(parts: Parts, split: Split) -> Rows:
    """From what is stored of the images, else from the images: at the stages behind that."""
    model, device = parts.model.to(parts.compute.device).eval(), parts.compute.device
    parts_of: dict[Tap, list[Tensor]] = {}
    labels = []
    for images, classes in _batches(parts, split):
        x, start = (images.rows, images.cut) if isinstance(images, Activations) else (images, 0)
        x = x.to(device)
        with autocast(parts.compute.precision.training, device):
            x = model.prefix.normalize(x) if start == 0 else x
            for cut in range(max(start, 1), model.backbone.num_stages + 1):
                x, start = model.until(x, start=start, stop=cut), cut
                parts_of.setdefault(Tap(cut, 1), []).append(model.backbone.pool(x).float().cpu())
        labels.append(classes)
    return {tap: torch.cat(rows) for tap, rows in parts_of.items()}, torch.cat(labels)


def _batches(parts: Parts, split: Split) -> Iterator[tuple[Tensor | Activations, Tensor]]:
    data, size = parts.data, parts.data.eval_batch_size
    some = [int(index) for index in _spread(len(data.splits[split]))]
    if (stored := data.stored(split)) is not None:
        for first in range(0, len(some), size):
            yield stored[[(0, index) for index in some[first : first + size]]]
        return
    keys: Sequence[tuple[int, int]] = [(0, index) for index in some]
    yield from DataLoader(data.plain_dataset(split), batch_size=size, sampler=keys, num_workers=data.num_workers)

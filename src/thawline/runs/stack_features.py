"""Stored features of the training and validation images for the stack of a blend."""

from dataclasses import replace

import torch

from thawline.errors import UserError
from thawline.features.feature_store import StoredArray
from thawline.features.fill import fill
from thawline.features.pieces import Team
from thawline.features.stored_dataset import STORED, StoredDataset, groups_and_weights
from thawline.features.wanted import Wanted
from thawline.runs.caching import extraction, shared_pass
from thawline.runs.parts import Parts
from thawline.runs.sums_pass import MOST_STORED
from thawline.training.make_solver import stack_rows
from thawline.training.stack_solver import StackRows


def refuse_too_many(parts: Parts) -> None:
    """Refuse a stack beside the model whose rows the memory may not hold; before the training, not after it.

    Raises:
        UserError: Their features take more than `MOST_STORED`.
    """
    if parts.beside is None:
        return
    number = sum(len(parts.data.splits[split]) for split in STORED)
    num_bytes = number * parts.beside.readout.num_features * torch.float32.itemsize
    if num_bytes > MOST_STORED:
        raise UserError(
            f"strategy.stack_share={parts.settings.strategy.stack_share:g}: the stack of {number:,} images takes "
            f"{num_bytes / 1e9:.1f} GB of features, and at most {MOST_STORED / 1e9:g} GB are solved for at once; take "
            "strategy=stacked_probe, which keeps sums over the images, or fewer images with data.max_images"
        )


def store_for_stack(parts: Parts) -> list[list[StoredArray]]:
    """What the stack is solved for, of both splits; several processes share the pass.

    Raises:
        UserError: The cache cannot be written.
    """
    with shared_pass("stack", parts.settings.trainer) as team:
        return _filled(parts, team)


def stored_stack_rows(parts: Parts, arrays: list[list[StoredArray]] | None = None) -> tuple[StackRows, StackRows]:
    """Rows of both splits.

    Args:
        arrays: From `store_for_stack`; None reads the cache, or makes the pass in this process alone.
    Raises:
        UserError: The cache cannot be written.
    """
    beside, data = parts.beside, parts.data
    assert beside is not None
    rows = []
    for split, of_split in zip(STORED, _filled(parts) if arrays is None else arrays, strict=True):
        indices = data.splits[split]
        labels = torch.from_numpy(data.source.labels[indices])
        every = StoredDataset(of_split, labels, cut=beside.backbone.num_stages)
        stored = every.everything(*groups_and_weights(data.source, indices))
        rows.append(stack_rows(stored, num_classes=data.num_classes, aim=parts.aim, readout=beside.readout))
    return rows[0], rows[1]


def _filled(parts: Parts, team: Team | None = None) -> list[list[StoredArray]]:
    """From the cache, or from a pass of the pretrained stages over plain views of the images."""
    beside, data = parts.beside, parts.data
    assert beside is not None
    wanted = [Wanted(data.plain_dataset(split), 1, random_views=False) for split in STORED]
    how = replace(extraction(parts, beside.prefix, sum(split.num_rows for split in wanted)), team=team)
    beside.to(how.device)
    try:
        return fill(wanted, beside.backbone, list(beside.readout.taps), how)
    except OSError as error:
        raise UserError(
            f"strategy.stack_share: no features can be stored ({error}); choose another cache.dir"
        ) from error

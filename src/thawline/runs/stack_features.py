"""Stored features of the training and validation images for the stack of a blend."""

import torch

from thawline.data.sources.source import Split
from thawline.errors import UserError
from thawline.features.extract import choose_mode
from thawline.features.feature_cache import FeatureCache
from thawline.features.fill import Extraction, Wanted, fill
from thawline.features.stored_dataset import StoredDataset
from thawline.machine.decisions import compiles_pass, pass_batch
from thawline.runs.parts import Parts
from thawline.training.make_solver import stack_rows
from thawline.training.stack_solver import StackRows

_SPLITS: tuple[Split, Split] = ("train", "val")


def stored_stack_rows(parts: Parts) -> tuple[StackRows, StackRows]:
    """Rows of both splits, from the cache or from a pass of the pretrained stages over plain views of the images.

    Raises:
        UserError: The cache cannot be written.
    """
    beside, data, compute = parts.beside, parts.data, parts.compute
    assert beside is not None
    wanted = [Wanted(data.plain_dataset(split), 1, random_views=False) for split in _SPLITS]
    num_rows = sum(split.num_rows for split in wanted)
    batch_size = min(data.batch_size, data.loader.batch_size)
    fused = beside.prefix.fused
    compiled = compiles_pass(parts.settings.compile, compute.device.type, num_images=num_rows)
    dtype = beside.prefix.dtype
    together = pass_batch(compute.device.type)
    mode = choose_mode(
        dtype=dtype, fused=fused is not None, compiled=compiled, batch_size=batch_size, together=together
    )
    how = Extraction(FeatureCache.of(parts.settings.cache), mode, compute.device, fused, data.num_workers)
    beside.to(compute.device)
    try:
        filled = fill(wanted, beside.backbone, list(beside.readout.taps), how)
    except OSError as error:
        raise UserError(
            f"strategy.stack_share: no features can be stored ({error}); choose another cache.dir"
        ) from error
    rows = []
    for split, arrays in zip(_SPLITS, filled, strict=True):
        indices = data.splits[split]
        labels, groups = (torch.from_numpy(of_all[indices]) for of_all in (data.source.labels, data.source.groups))
        stored = StoredDataset(arrays, labels, cut=beside.backbone.num_stages).everything(groups)
        rows.append(stack_rows(stored, num_classes=data.num_classes, aim=parts.aim, readout=beside.readout))
    return rows[0], rows[1]

"""The number of threads of the pass over the images that frozen stages make once."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from thawline.features.extract import PrefixRunner, Tap
from thawline.features.feature_cache import cache_key
from thawline.features.fill import Extraction
from thawline.features.wanted import Wanted, stores_of
from thawline.machine.thread_trial import candidates, fastest
from thawline.models.backbone import Backbone

_log = logging.getLogger(__name__)
_IMAGES = 4  # chosen: of one measured step; seven such steps take as long as 28 images of the pass
_WORTH = 64  # images of a pass; one of fewer ends within a second


def set_pass_threads(
    backbone: Backbone, wanted: Sequence[Wanted], taps: Sequence[Tap], how: Extraction, threads: int | str
) -> None:
    """Measure on made-up images; nothing where the pass is short, on a GPU, or in the cache already.

    Args:
        threads: The setting.
    """
    numbers = candidates(threads)
    if how.device.type != "cpu" or len(numbers) == 1:
        return
    stores = stores_of(wanted, backbone, taps, mode=how.mode, device=how.device)
    missing = [split for split, of_taps in zip(wanted, stores, strict=True) if not _are_stored(of_taps.values(), how)]
    if sum(split.num_rows for split in missing) < _WORTH:
        return
    style = "eager" if how.mode.style == "compiled" else how.mode.style  # compiling takes longer than measuring
    runner = PrefixRunner(backbone, taps, replace(how.mode, style=style, batch_size=_IMAGES), fused=how.fused)
    size, generator = backbone.input.size, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_IMAGES, 3, size, size), dtype=torch.uint8, generator=generator)
    number = fastest(lambda: runner(images), numbers)
    if number != numbers[0]:
        _log.info("Threads: %d, not %d, is faster here: something else computes on these cores.", number, numbers[0])


def _are_stored(abouts: Iterable[Mapping[str, Any]], how: Extraction) -> bool:
    return all((how.cache.folder / cache_key(about)).is_dir() for about in abouts)

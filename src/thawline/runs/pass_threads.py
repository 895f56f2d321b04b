"""The number of threads of the pass over the images that frozen stages make once."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from thawline.features.extract import PrefixRunner, Tap
from thawline.features.feature_cache import cache_key
from thawline.features.fill import Extraction, Wanted, store_about
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
    missing = [split for split in wanted if not _is_stored(split, backbone, taps, how)]
    short = sum(split.num_rows for split in missing) < _WORTH
    if how.device.type != "cpu" or len(numbers) == 1 or short:
        return
    style = "eager" if how.mode.style == "compiled" else how.mode.style  # compiling takes longer than measuring
    runner = PrefixRunner(backbone, taps, replace(how.mode, style=style, batch_size=_IMAGES), fused=how.fused)
    size, generator = backbone.input.size, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_IMAGES, 3, size, size), dtype=torch.uint8, generator=generator)
    number = fastest(lambda: runner(images), numbers)
    if number != numbers[0]:
        _log.info("Threads: %d, not %d, is faster here: something else computes on these cores.", number, numbers[0])


def _is_stored(split: Wanted, backbone: Backbone, taps: Sequence[Tap], how: Extraction) -> bool:
    keys = (store_about(split, backbone, tap=tap, mode=how.mode, device=how.device) for tap in taps)
    return all((how.cache.folder / cache_key(key)).is_dir() for key in keys)

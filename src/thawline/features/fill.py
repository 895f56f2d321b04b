"""Make the stores that a run needs and the cache lacks, in one pass over the images for all taps."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from thawline.data.dataset import Key, SplitDataset
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.feature_cache import FeatureCache
from thawline.features.feature_store import ArraySpec, StoredArray, StoreWriter
from thawline.features.halving import Halving
from thawline.features.in_flight import in_flight
from thawline.machine.decisions import pins_memory
from thawline.machine.heartbeat import beat
from thawline.machine.tf32 import rounding_now
from thawline.models.backbone import Backbone
from thawline.models.digests import checksum
from thawline.models.fused import FusedPrefix

_T = TypeVar("_T")
_CPU = torch.device("cpu")
_log = logging.getLogger(__name__)
_OF_A_TAP = ("cut", "grid", "stage", "weights")  # keys in which the stores of one pass differ
_LIBRARIES = ("torch", "torchvision", "timm", "pillow")  # they decode, transform and compute


@dataclass(frozen=True)
class Wanted:
    """A split whose activations are to be stored: `num_views` views of every image, in the order of the split.

    Attributes:
        random_views: Whether the views depend on the dataset's seed. If not, runs with any seed share the store.
    """

    dataset: SplitDataset
    num_views: int
    random_views: bool

    @property
    def num_rows(self) -> int:
        return self.num_views * len(self.dataset)

    def keys(self) -> Sampler[Key]:
        return _InOrder(self.num_views, len(self.dataset))


class _InOrder(Sampler[Key]):
    """(view, index) of every image, one view after the other; a list of ten million takes a gigabyte."""

    def __init__(self, num_views: int, num_images: int) -> None:
        self.num_views, self.num_images = num_views, num_images

    def __iter__(self) -> Iterator[Key]:
        return ((view, index) for view in range(self.num_views) for index in range(self.num_images))

    def __len__(self) -> int:
        return self.num_views * self.num_images


def about(split: Wanted, backbone: Backbone, *, tap: Tap, mode: Mode, device: torch.device) -> dict[str, Any]:
    """The key of a store: everything that the stored numbers depend on, and nothing else."""
    return {
        "model": backbone.name,
        "image_size": backbone.input.size,
        "cut": tap.cut,
        "grid": tap.grid,
        "stage": backbone.stages[tap.cut - 1].name,
        "weights": checksum(backbone.prefix_tensors(tap.cut)),
        "images": split.dataset.fingerprint(),
        "transform": repr(split.dataset.transform),
        "views": split.num_views,
        "seed": split.dataset.seed if split.random_views else None,
        "compute": f"{mode}, {rounding_now(device)}",
        "versions": {name: version(name) for name in _LIBRARIES},
    }


@dataclass(frozen=True)
class Extraction:
    """How a pass over images computes, and the cache for its output.

    Attributes:
        fused: The prefix in its fused form, if the mode's style is `fused`.
    """

    cache: FeatureCache
    mode: Mode
    device: torch.device = _CPU
    fused: FusedPrefix | None = None
    num_workers: int = 0


def fill(splits: Sequence[Wanted], backbone: Backbone, taps: Sequence[Tap], how: Extraction) -> list[list[StoredArray]]:
    """The stores of every split at every tap, from the cache or from one pass.

    The backbone must be in eval mode and on `how.device`.

    Returns:
        Per split, per tap.
    Raises:
        OSError: The cache cannot be written, or is too small.
    """
    cache = how.cache
    runner: PrefixRunner | None = None
    filled = []
    for split in splits:
        keys = {tap: about(split, backbone, tap=tap, mode=how.mode, device=how.device) for tap in taps}
        stored = _stored(cache, keys)
        if len(stored) < len(taps):
            with cache.alone({name: value for name, value in keys[taps[0]].items() if name not in _OF_A_TAP}):
                stored = _stored(cache, keys)  # another run may have computed them meanwhile
                if missing := [tap for tap in taps if tap not in stored]:
                    if runner is None or runner.taps != tuple(missing):
                        runner = PrefixRunner(backbone, missing, how.mode, fused=how.fused)
                    _pass(split, runner, [keys[tap] for tap in missing], how)
                    stored |= _stored(cache, {tap: keys[tap] for tap in missing})
        if len(stored) < len(taps):
            raise OSError(f"{cache.folder}: a store that was just written is gone")
        filled.append([stored[tap] for tap in taps])
    return filled


def _stored(cache: FeatureCache, keys: Mapping[Tap, Mapping[str, Any]]) -> dict[Tap, StoredArray]:
    return {tap: array for tap, key in keys.items() if (array := cache.get(key)) is not None}


def _pass(split: Wanted, runner: PrefixRunner, keys: Sequence[dict[str, Any]], how: Extraction) -> None:
    writers: list[StoreWriter] = []
    start = time.perf_counter()
    try:
        for outputs in outputs_in_order(split, runner, how):
            if not writers:
                writers = how.cache.writers(keys, [_spec(rows) for rows in outputs], num_rows=split.num_rows)
            for writer, rows in zip(writers, outputs, strict=True):
                writer.append(rows)
        for writer in writers:
            writer.close()
    except BaseException:
        for writer in writers:
            writer.abandon()
        raise
    _log.info("Cached %s images in %.0f s.", f"{split.num_rows:,}", time.perf_counter() - start)


def outputs_in_order(split: Wanted, runner: PrefixRunner, how: Extraction) -> Iterator[list[Tensor]]:
    """What `runner` gives of one batch after the other, on the CPU, in the order of `split.keys()`."""
    run = Halving(runner, what=f"Caching frozen stages of {runner.backbone.name}", on_limit=runner.use_batches_of)
    for outputs in in_flight(_batches(split, runner.mode.batch_size, how), run, how.device):
        yield outputs
        beat()


def _batches(split: Wanted, batch_size: int, how: Extraction) -> Iterator[Tensor]:
    keys, num_workers = split.keys(), how.num_workers
    pinned = pins_memory(how.device.type)
    loader = DataLoader(split.dataset, batch_size=batch_size, sampler=keys, num_workers=num_workers, pin_memory=pinned)
    console = Console()
    with Progress(transient=True, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("Caching frozen stages", total=split.num_rows)
        for images, _ in loader if num_workers else ahead(loader):
            yield images
            progress.advance(task, len(images))


def ahead(items: Iterable[_T]) -> Iterator[_T]:
    """`items`, each made in a thread while the one before is used; an error is raised in place of its item."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, iterator, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]


def _spec(rows: Tensor) -> ArraySpec:
    return ArraySpec(tuple(rows.shape[1:]), str(rows.dtype).removeprefix("torch."))

"""Make the stores that a run needs and the cache lacks, in one pass over the images for all taps."""

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from thawline.amounts import plural
from thawline.features.extract import Mode, PrefixRunner, Tap
from thawline.features.feature_cache import FeatureCache, cache_key
from thawline.features.feature_store import ArraySpec, StoredArray, StoreWriter
from thawline.features.halving import Halving
from thawline.features.in_flight import ahead, in_flight
from thawline.features.pace import Pace
from thawline.features.pieces import Team, has_piece, pieces_of, rows_of_pieces, share_of, write_pieces
from thawline.features.wanted import Wanted, stores_of
from thawline.machine.decisions import pins_memory
from thawline.machine.heartbeat import beat
from thawline.machine.standstill import worker_init
from thawline.models.backbone import Backbone
from thawline.models.fused import FusedPrefix
from thawline.progress_bar import progress

_CPU = torch.device("cpu")
_log = logging.getLogger(__name__)
_OF_A_TAP = ("cut", "grid", "stage", "weights")  # keys in which the stores of one pass differ


@dataclass(frozen=True)
class Extraction:
    """How a pass over images computes, and the cache for its output.

    Attributes:
        fused: The prefix in its fused form, if the mode's style is `fused`.
        team: The processes that share the pass; None where this one makes it alone.
        pace: Learns how fast passes are.
    """

    cache: FeatureCache
    mode: Mode
    device: torch.device = _CPU
    fused: FusedPrefix | None = None
    num_workers: int = 0
    team: Team | None = None
    pace: Pace = field(default_factory=Pace)

    @property
    def first(self) -> bool:
        """Whether this process puts together what all make."""
        return self.team is None or self.team.rank == 0


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
    for split, keys in zip(splits, stores_of(splits, backbone, taps, mode=how.mode, device=how.device), strict=True):
        stored = _stored(cache, keys)
        if len(stored) < len(taps) or how.team is not None:
            with _turn(how, {name: value for name, value in keys[taps[0]].items() if name not in _OF_A_TAP}):
                stored = _stored(cache, keys)  # another run may have computed them meanwhile
                if missing := _agreed([tap for tap in taps if tap not in stored], keys, how):
                    if runner is None or runner.taps != tuple(missing):
                        runner = PrefixRunner(backbone, missing, how.mode, fused=how.fused)
                    _pass(split, runner, [keys[tap] for tap in missing], how)
                    stored |= _stored(cache, {tap: keys[tap] for tap in missing})
        if len(stored) < len(taps):
            raise OSError(f"{cache.folder}: a store that was just written is gone")
        filled.append([stored[tap] for tap in taps])
    return filled


def _turn(how: Extraction, description: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
    """Of several processes the first waits for other runs, and the others for the first."""
    return how.cache.alone(description) if how.first else contextlib.nullcontext()


def _agreed(missing: list[Tap], keys: Mapping[Tap, Mapping[str, Any]], how: Extraction) -> list[Tap]:
    """What the first process does not find in the cache; it makes the folders that all write to.

    Raises:
        OSError: The processes do not share a cache, or compute in different ways.
    """
    if how.team is None:
        return missing
    if how.first:
        for tap in missing:
            how.cache.pieces(keys[tap]).mkdir(parents=True, exist_ok=True)
    names = {cache_key(key): tap for tap, key in keys.items()}
    said = json.loads(how.team.next_word_of_first(json.dumps([cache_key(keys[tap]) for tap in missing])))
    if not set(said) <= names.keys():
        raise OSError(f"process {how.team.rank} computes with other libraries or in another way than process 0")
    agreed = [names[name] for name in said]
    if not all(how.cache.pieces(keys[tap]).is_dir() for tap in agreed):
        raise OSError(f"process {how.team.rank} does not see what process 0 writes to {how.cache.folder}")
    return agreed


def _stored(cache: FeatureCache, keys: Mapping[Tap, Mapping[str, Any]]) -> dict[Tap, StoredArray]:
    return {tap: array for tap, key in keys.items() if (array := cache.get(key)) is not None}


def _pass(split: Wanted, runner: PrefixRunner, keys: Sequence[dict[str, Any]], how: Extraction) -> None:
    start = time.perf_counter()
    if how.team is None:
        _write(outputs_in_order(split, runner, how), keys, how, num_rows=split.num_rows)
    else:
        _shared_pass(split, runner, keys, how, how.team)
    for key in keys if how.first else ():  # a pass of several processes may have left some when it was interrupted
        shutil.rmtree(how.cache.pieces(key), ignore_errors=True)
    _log.info("Cached %s in %.0f s.", plural(split.num_rows, "image"), time.perf_counter() - start)


def _shared_pass(
    split: Wanted, runner: PrefixRunner, keys: Sequence[dict[str, Any]], how: Extraction, team: Team
) -> None:
    folders = [how.cache.pieces(key) for key in keys]
    pieces = pieces_of(split.num_rows, batch=runner.mode.batch_size, processes=team.size)
    mine = share_of(pieces, rank=team.rank, size=team.size)
    mine = [piece for piece in mine if not all(has_piece(folder, piece) for folder in folders)]
    if mine:
        write_pieces(outputs_in_order(split, runner, how, rows=mine), mine, folders)
    team.gather()
    if how.first:
        together = zip(*(rows_of_pieces(folder, pieces) for folder in folders), strict=True)
        _write(together, keys, how, num_rows=split.num_rows)
    team.gather()


def _write(
    outputs: Iterable[Sequence[Tensor]], keys: Sequence[dict[str, Any]], how: Extraction, *, num_rows: int
) -> None:
    """Rows in order, of all keys at a time."""
    writers: list[StoreWriter] = []
    try:
        for of_keys in outputs:
            if not writers:
                writers = how.cache.writers(keys, [ArraySpec.of(rows) for rows in of_keys], num_rows=num_rows)
            for writer, rows in zip(writers, of_keys, strict=True):
                writer.append(rows)
        for writer in writers:
            writer.close()
    except BaseException:
        for writer in writers:
            writer.abandon()
        raise


def outputs_in_order(
    split: Wanted, runner: PrefixRunner, how: Extraction, *, rows: Sequence[range] | None = None
) -> Iterator[list[Tensor]]:
    """What `runner` gives of one batch after the other, on the CPU, in the order of `split.keys(rows)`."""
    run = Halving(runner, what=f"Caching frozen stages of {runner.backbone.name}", on_limit=runner.use_batches_of)
    batches = _batches(split, runner.mode.batch_size, how, rows)
    for outputs in how.pace.over(in_flight(batches, run, how.device)):
        yield outputs
        beat()
        if how.team is not None:
            how.team.look_around()


def _batches(split: Wanted, batch_size: int, how: Extraction, rows: Sequence[range] | None) -> Iterator[Tensor]:
    keys, num_workers = split.keys(rows), how.num_workers
    pinned = pins_memory(how.device.type)
    loader = DataLoader(
        split.dataset, batch_size=batch_size, sampler=keys, num_workers=num_workers, pin_memory=pinned,
        worker_init_fn=worker_init(),
    )  # fmt: skip
    total = len(loader.sampler) if how.first else 0  # type: ignore[arg-type]
    with progress(total, "images through the frozen stages", above=0) as advance:
        for images, _ in loader if num_workers else ahead(loader):
            yield images
            advance(len(images))

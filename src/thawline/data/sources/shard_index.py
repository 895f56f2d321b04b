"""The index of shards: where each image lies and its class, made once and stored."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.atomic import CannotWrite, replacing
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.parquet_shards import parquet_rows
from thawline.data.sources.shard_reading import Place
from thawline.data.sources.shard_rows import Rows
from thawline.data.sources.tar_shards import tar_rows
from thawline.errors import UserError
from thawline.machine.file_lock import one_at_a_time
from thawline.printable import printable
from thawline.settings.cache_settings import LOCK

SHARDS_FOLDER = "shards"  # in the cache
_VERSION = 2  # raise it whenever the rule of reading changes
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardIndex:
    """Every image of the shards, N in all.

    Attributes:
        shard: Number of its shard, (N,), int32.
        at: Its first byte in a tar file, its row in a Parquet file, (N,), int64.
        size: In bytes, (N,), int64; 0 in a Parquet file.
        key, label: UTF-8, (N,), bytes.
    """

    shard: NDArray[np.int32]
    at: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bytes_]
    label: NDArray[np.bytes_]


def index_key(shards: Sequence[Place], *, image: str, label: str) -> str:
    """Changes with any shard and with how it is read."""
    states = "\n".join(f"{place.url} {place.size} {place.state}" for place in shards)
    return fingerprint(_VERSION, states, image, label)


def shard_index(shards: Sequence[Place], folder: Path | None, *, image: str, label: str) -> ShardIndex:
    """Read the index from `folder`, or make it and store it there."""
    key = index_key(shards, image=image, label=label)

    def made() -> tuple[dict[str, NDArray[Any]], bool]:
        _log.info("Reading the lists of %d shards; the next run finds their index stored.", len(shards))
        columns = [_rows(place, image=image, label=label).columns(number) for number, place in enumerate(shards)]
        return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}, True

    path = None if folder is None else folder / f"index-{key}.npz"
    return ShardIndex(**stored_or_made(path, tuple(ShardIndex.__dataclass_fields__), made))


def _rows(place: Place, *, image: str, label: str) -> Rows:
    name = place.name.lower()
    if name.endswith(".parquet"):
        rows = parquet_rows(place, image=image, label=label)
    elif ".tar" in name or name.endswith(".tgz"):
        rows = tar_rows(place, image=image, label=label)
    else:
        raise UserError(f"data.shards: {printable(place.name)}: allowed are .tar and .parquet files")
    if not rows.at:
        raise UserError(f"data.shards: {printable(place.name)} holds no image; remove it")
    return rows


def stored_or_made(
    path: Path | None, names: Sequence[str], make: Callable[[], tuple[dict[str, NDArray[Any]], bool]]
) -> dict[str, NDArray[Any]]:
    """The arrays of these names in the file `path`, or else those that `make` gives, which are stored there.

    Other processes that need them wait for the one that makes them.

    Args:
        path: None stores nothing.
        make: Gives the arrays, and whether they may be stored.
    """
    if path is None:
        return make()[0]
    if (stored := _load(path, names)) is not None:
        return stored
    lock = one_at_a_time(
        path.with_suffix(LOCK), busy=lambda: _log.info("Another process reads the same images; waiting for it.")
    )
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # saving will fail too, and say so
            held.enter_context(lock)
        if (stored := _load(path, names)) is not None:
            return stored
        arrays, complete = make()
        if complete:
            _save(path, arrays)
    return arrays


def _load(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    """None where there is no file that can be read, or one of another version."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names} if set(stored.files) == set(names) else None
    except Exception:  # not there, or half written by a machine that lost its power: it is made anew
        return None


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """A folder that cannot be written costs time, not the run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except (CannotWrite, OSError) as error:
        _log.warning("%s cannot be written (%s), so it is made anew next time.", printable(path), error.strerror)

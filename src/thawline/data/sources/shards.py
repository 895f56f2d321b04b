"""The user's own images in shards: WebDataset tar files, or Parquet files with the images in them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thawline.data.decode import Pixels
from thawline.data.sources.class_checks import check_labels
from thawline.data.sources.class_names import class_numbers
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.packed_files import FileRows, PackedFiles
from thawline.data.sources.packed_images import RowIndex
from thawline.data.sources.parquet_shards import ParquetImages
from thawline.data.sources.set_pixels import checked_pixels
from thawline.data.sources.shard_index import SHARDS_FOLDER, ShardIndex, index_key, shard_index
from thawline.data.sources.shard_places import places
from thawline.data.sources.shard_reading import Place, part, shown
from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.data.sources.split_names import split_of_name
from thawline.errors import UserError
from thawline.printable import printable
from thawline.settings.cache_settings import resolved_dir

_COLUMNS = {"image": "image", "label": "label"}


class ShardSource(PackedFiles):
    """Images in shards, each with its label; any of them is read by itself.

    A tar shard holds KEY.jpg (or another kind of image) with KEY.cls, the class as text, or KEY.json with a label. A
    Parquet file holds a column of images (bytes, or structs with bytes) and one of labels. Shards named `train-...`,
    `val-...`, `test-...`, or in folders of these names, are these splits; otherwise splits are made.

    Args:
        shards: Paths or URLs of fsspec's, with `*` or `{000..015}`; one, or a list.
        columns: `image` and `label` -> their names in Parquet; for tar shards the extension and the key in KEY.json.
        value_range: Which values become black and white, where they are wider than 8 bits.
        index_dir: The cache, "auto", or None, which makes the index every time.
        settings: Those of `PackedImages`, from `on_unreadable` on.
    Raises:
        UserError: A shard is missing, cut off or lists an image twice, or an image has no label or does not decode.
    """

    def __init__(
        self,
        *,
        shards: str | Sequence[str] | None,
        columns: Mapping[str, str] | None = None,
        value_range: Sequence[float] | Literal["auto"] = "auto",
        channels: Sequence[int] | None = None,
        index_dir: str | None = None,
        **settings: Any,
    ) -> None:
        if unknown := [name for name in columns or {} if name not in _COLUMNS]:
            raise UserError(f"data.columns.{unknown[0]}: no such column; allowed are {', '.join(_COLUMNS)}")
        names = _COLUMNS | dict(columns or {})
        there = places(shards)
        folder = None if index_dir is None else Path(resolved_dir(index_dir)) / SHARDS_FOLDER
        rows = shard_index(there, folder, image=names["image"], label=names["label"])
        pixels = checked_pixels(value_range, channels)
        where = f"data.shards={shown(shards if isinstance(shards, str) else there[0].url)}"
        state = fingerprint(index_key(there, image=names["image"], label=names["label"]), str(pixels))
        super().__init__(
            _Shards(there, rows, pixels, column=names["image"], state=state),
            _index(rows, there, where),
            pixels=pixels,
            name=_name(there),
            where=where,
            folder=folder,
            **settings,
        )


class _Shards(FileRows):
    """Bytes of the images, by row of the index."""

    def __init__(self, there: list[Place], rows: ShardIndex, pixels: Pixels, *, column: str, state: str) -> None:
        super().__init__(pixels, state)
        self._places = there
        self._shard, self._at, self._size = rows.shard, rows.at, rows.size
        self._parquet = ParquetImages(column)

    def raw(self, row: int) -> bytes:
        place, at = self._places[self._shard[row]], int(self._at[row])
        if size := int(self._size[row]):
            return part(place, at, size)
        return self._parquet.read(place, at) if place.name.lower().endswith(".parquet") else b""

    def name(self, row: int) -> str:
        return f"{printable(self._places[self._shard[row]].name)}, image {row + 1} of all"


def _name(there: list[Place]) -> str:
    parent = PurePosixPath(there[0].url).parent.name
    return printable(parent or PurePosixPath(there[0].name).stem)


def _index(rows: ShardIndex, there: list[Place], where: str) -> RowIndex:
    ordered, labels = class_numbers(np.char.decode(rows.label, "utf-8"))
    shards = np.array([place.name for place in there], dtype=np.str_)
    paths = np.char.add(np.char.add(shards, "/")[rows.shard], np.char.decode(rows.key, "utf-8"))
    parts = _parts(there, rows.shard, where)
    check_labels(where, ordered, labels, parts)
    return RowIndex(ordered, paths, labels, parts, named_by_path=False, rows=np.arange(len(labels), dtype=np.int64))


def _parts(there: list[Place], shard: NDArray[np.int32], where: str) -> IntArray | None:
    """Position in `SPLITS` per image; None where the names of shards say no splits."""
    splits = [_split_of_shard(place) for place in there]
    if not any(splits):
        return None
    if None in splits:
        odd = printable(there[splits.index(None)].name)
        raise UserError(f"{where}: {odd} names no split, and other shards do; name all of them, or none")
    if "train" not in splits:
        raise UserError(f"{where}: no shard is of the split train; add those to data.shards, as a list")
    return np.array([SPLITS.index(split) for split in splits if split], dtype=np.int64)[shard]


def _split_of_shard(place: Place) -> Split | None:
    """`train-00000-of-00002.parquet` -> train, `val/000.tar` -> val."""
    path = PurePosixPath(place.name)
    first = re.split(r"[-_. \d]", path.name)[0]
    return split_of_name(first) or (split_of_name(path.parent.name) if path.parent.name else None)

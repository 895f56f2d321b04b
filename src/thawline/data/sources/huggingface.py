"""The user's own images in a data set of Hugging Face's `datasets`, as `save_to_disk` writes it."""

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thawline.data.decode import Pixels, UnreadableImage, read_bytes
from thawline.data.sources.class_checks import check_labels
from thawline.data.sources.class_names import class_numbers
from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.folder import checked_root
from thawline.data.sources.huggingface_columns import Columns, columns_of
from thawline.data.sources.packed_files import FileRows, PackedFiles
from thawline.data.sources.packed_images import RowIndex
from thawline.data.sources.set_pixels import checked_pixels
from thawline.data.sources.shard_index import SHARDS_FOLDER
from thawline.data.sources.shard_rows import label_text
from thawline.data.sources.source import SPLITS, Split
from thawline.data.sources.split_names import split_of_name
from thawline.data.sources.table_index import refuse_measurements
from thawline.errors import UserError, first_line
from thawline.printable import printable
from thawline.settings.cache_settings import resolved_dir

_HOLDS = "what save_to_disk of Hugging Face's datasets wrote"
_AT_ONCE = 10_000  # rows whose labels are Python objects at one time; chosen
_NO_LABEL = -1  # in Hugging Face's sets: of a class that is not told, as in some test splits


class HuggingFaceSource(PackedFiles):
    """The images of a `Dataset`, or of a `DatasetDict` with its splits, saved on disk.

    The files are mapped, so memory does not grow with the number of images. A `Dataset` has no splits; they are made.

    Args:
        root: The folder that `save_to_disk` wrote.
        columns: `image`, `label`, `group` -> their names. Without one: the only column of images, the only one of
            classes, no groups.
        value_range: Which values become black and white, where they are wider than 8 bits.
        scan_dir: The cache, "auto", or None, which stores nothing of what reading every image showed.
        settings: Those of `PackedImages`, from `on_unreadable` on.
    Raises:
        UserError: `datasets` is not installed, the folder is none of its, or a column, split or label cannot be used.
    """

    def __init__(
        self,
        *,
        root: str | Path | None,
        columns: Mapping[str, str | None] | None = None,
        value_range: Sequence[float] | Literal["auto"] = "auto",
        channels: Sequence[int] | None = None,
        scan_dir: str | None = None,
        **settings: Any,
    ) -> None:
        folder = checked_root(root, holds=_HOLDS)
        where = f"data.root={printable(folder)}"
        sets = _by_split(_loaded(folder, where), where)
        names = columns_of(next(iter(sets.values())).features, columns or {}, where)
        pixels = checked_pixels(value_range, channels)
        super().__init__(
            _Rows(folder, list(sets.values()), pixels, column=names.image),
            _index(sets, names, where),
            pixels=pixels,
            name=printable(folder.resolve().name),
            where=where,
            folder=None if scan_dir is None else Path(resolved_dir(scan_dir)) / SHARDS_FOLDER,
            **settings,
        )


class _Rows(FileRows):
    """Bytes of the images, or the files that the rows name; rows of all splits, one after another."""

    def __init__(self, folder: Path, sets: list[Any], pixels: Pixels, *, column: str) -> None:
        files = [file["filename"] for one in sets for file in one.cache_files]
        states = [f"{file} {os.stat(file).st_size} {os.stat(file).st_mtime_ns}" for file in files]
        super().__init__(pixels, fingerprint("\n".join(states), column, str(pixels)))
        self._folder, self._column = folder, column
        self._sets = [_undecoded(one.select_columns([column]), column) for one in sets]
        self._starts = np.cumsum([0] + [len(one) for one in sets])

    def raw(self, row: int) -> bytes:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        value = self._sets[number][row - int(self._starts[number])][self._column]
        if isinstance(value, dict):
            value = value["path"] if value["bytes"] is None else value["bytes"]
        if value is None:
            raise UnreadableImage(f"unreadable image {self.name(row)}: the row holds none")
        return value if isinstance(value, bytes) else read_bytes(self._folder / value)

    def name(self, row: int) -> str:
        return f"{printable(self._folder.name)}, image {row + 1} of all"


def _undecoded(one: Any, column: str) -> Any:
    """With the bytes or the path of each image, where `datasets` would decode it."""
    kind = one.features[column]
    return one.cast_column(column, type(kind)(decode=False)) if hasattr(kind, "decode") else one


def _loaded(folder: Path, where: str) -> Any:
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise UserError(f'{where}: data=huggingface takes a package: pip install "thawline[hf]"') from error
    try:
        return datasets.load_from_disk(str(folder), keep_in_memory=False)
    except FileNotFoundError as error:
        raise UserError(
            f"{where}: is not {_HOLDS}; save a set with load_dataset(NAME).save_to_disk(DIR), "
            "or read Parquet files with data=webdataset and class folders with data=folder"
        ) from error
    except Exception as error:  # a damaged file: json, Arrow and datasets each have kinds of their own
        raise UserError(f"{where}: cannot be read ({first_line(error)}); save the set anew") from error


def _by_split(loaded: Any, where: str) -> dict[Split | None, Any]:
    """The sets by their split; None for one without splits."""
    if not isinstance(loaded, dict):
        return {None: loaded}
    sets: dict[Split | None, Any] = {}
    for name, one in loaded.items():
        split = split_of_name(name)
        if split is None or split in sets:
            again = "" if split is None else f", and {split} is there already"
            raise UserError(
                f"{where}: the split {printable(name)!r} is none of {', '.join(SPLITS)}{again}; "
                "leave it out, or rename it, and save the set again"
            )
        sets[split] = one
    if "train" not in sets:
        raise UserError(f"{where}: has no split train; its splits are {', '.join(map(printable, loaded))}")
    return sets


def _index(sets: Mapping[Split | None, Any], columns: Columns, where: str) -> RowIndex:
    labels = [_labels(one, columns, f"{where}, split {split}" if split else where) for split, one in sets.items()]
    paths = [_paths(one, split, columns) for split, one in sets.items()]
    names, numbers = class_numbers(np.concatenate(labels))
    sizes = [len(one) for one in sets.values()]
    parts = None if None in sets else np.repeat([SPLITS.index(split) for split in sets if split], sizes)
    groups = None
    if columns.group is not None:
        groups = np.concatenate([_texts(one, columns.group) for one in sets.values()])
    check_labels(where, names, numbers, parts)
    every = np.arange(len(numbers), dtype=np.int64)
    return RowIndex(names, np.concatenate(paths), numbers, parts, groups, named_by_path=False, rows=every)


def _labels(one: Any, columns: Columns, where: str) -> NDArray[np.str_]:
    """The class of every row as text, (n,)."""
    names = getattr(one.features[columns.label], "names", None)
    blocks = [np.zeros(0, dtype=np.str_)]
    for number, values in enumerate(_batches(one, columns.label)):
        texts = []
        for row, value in enumerate(values, start=number * _AT_ONCE + 1):
            known = None if names and value == _NO_LABEL else value
            texts.append(label_text(names[known] if names and known is not None else known, f"{where}, row {row}"))
        blocks.append(np.array(texts, dtype=np.str_))
    labels = np.concatenate(blocks)
    if names is None:
        refuse_measurements(np.unique(labels).tolist(), where)
    return labels


def _paths(one: Any, split: Split | None, columns: Columns) -> NDArray[np.str_]:
    """`train/1`, or `train/1/cat.jpg` where the row knows a file's name, (n,)."""
    first = f"{split or 'images'}/"
    rows = np.char.add(first, np.arange(1, len(one) + 1).astype(np.str_))
    if not hasattr(one.features[columns.image], "decode"):
        return rows
    named = np.concatenate(
        [
            np.array([os.path.basename(path or "") for path in values], dtype=np.str_)
            for values in _batches(one, columns.image, field="path")
        ]
    )
    return np.where(named == "", rows, np.char.add(np.char.add(rows, "/"), named))


def _texts(one: Any, column: str) -> NDArray[np.str_]:
    values = [["" if value is None else str(value).strip() for value in values] for values in _batches(one, column)]
    return np.concatenate([np.array(texts, dtype=np.str_) for texts in values])


def _batches(one: Any, column: str, *, field: str | None = None) -> Any:
    """The values of a column, or of one field of its structs, as lists of `_AT_ONCE`."""
    for table in one.select_columns([column]).with_format("arrow").iter(_AT_ONCE):
        chunks = table.column(column).chunks  # one by one: joined, they would be a copy of all these images
        yield [value for one in chunks for value in (one if field is None else one.field(field)).to_pylist()]

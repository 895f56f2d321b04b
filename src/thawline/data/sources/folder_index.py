"""Lists the images of a folder by class and split, without opening any of them."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.sources.class_checks import Classes, check_classes
from thawline.data.sources.class_names import natural_order
from thawline.data.sources.folder_layout import find_layout
from thawline.data.sources.folder_walk import Walk, looked_for
from thawline.data.sources.source import SPLITS, FloatArray, IntArray, Split
from thawline.data.sources.split_names import split_of_name
from thawline.errors import UserError
from thawline.printable import printable

_KINDS_SHOWN = 3  # in a warning
_NO_ROWS = (np.empty(0, dtype=np.str_), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """What a folder holds.

    Attributes:
        class_names: (K,).
        paths: Relative to the root, with forward slashes, (N,), str. An array, because worker processes would copy
            the objects of a list when they read them.
        labels: (N,), int64.
        parts: Position in `SPLITS` per image, (N,), int64; -1 for no split; None where no split is defined.
        group_names: Group per image, (N,), str, empty for none; None where no groups are named.
        weights: How much each image counts in training, (N,), float64, > 0; None where all count alike.
        named_by_path: Whether the first folders of a path say its split and class, so that the paths tell all.
    """

    class_names: list[str]
    paths: NDArray[np.str_]
    labels: IntArray
    parts: IntArray | None
    group_names: NDArray[np.str_] | None = None
    weights: FloatArray | None = None
    named_by_path: bool = True

    def take(self, images: IntArray) -> "Index":
        """The index of these images only."""
        columns = ("paths", "labels", "parts", "group_names", "weights")
        given = {key: column for key in columns if (column := getattr(self, key)) is not None}
        taken: dict[str, Any] = {key: column[images] for key, column in given.items()}
        return replace(self, **taken)

    def splits(self) -> dict[Split, IntArray]:
        """Indices of each split that the folder defines."""
        if self.parts is None:
            return {}
        by_split = {split: np.flatnonzero(self.parts == part).astype(np.int64) for part, split in enumerate(SPLITS)}
        return {split: indices for split, indices in by_split.items() if len(indices)}


def scan(
    root: Path, *, class_level: int | None = None, leave_out: list[str] | None = None, to_learn: bool = True
) -> Index:
    """List the images below `root` by class and split, without opening them.

    Args:
        class_level, leave_out: See `find_layout` and `Walk`.
        to_learn: Whether there must be two classes, each with images; an inspection takes what is there.
    Raises:
        UserError: the layout is not as `LAYOUT` says, a class folder holds no image, or there is only one class.
    """
    walk = Walk(leave_out)
    layout = find_layout(root, walk, class_level=class_level)
    if to_learn:
        check_classes(f"data.root={root}", layout)
    class_names = natural_order({name for classes in layout.values() for name in classes})
    rows = [_NO_ROWS, *_rows(root, layout, class_names, walk, to_learn=to_learn)]
    paths, labels, parts = (np.concatenate(column) for column in zip(*rows, strict=True))
    _tell_left_out(walk, root)
    return Index(
        class_names,
        paths,
        labels,
        None if None in layout else parts,
        named_by_path=all(_is_named_by_path(root, split, classes) for split, classes in layout.items()),
    )


def _is_named_by_path(root: Path, split: Split | None, classes: Classes) -> bool:
    above = [root] if split is None else [folder for folder in root.iterdir() if split_of_name(folder.name) == split]
    return all(len(folders) == 1 and folders[0].parent in above for folders in classes.values())


def _rows(
    root: Path, layout: Mapping[Split | None, Classes], class_names: list[str], walk: Walk, *, to_learn: bool
) -> Iterator[tuple[NDArray[np.str_], IntArray, IntArray]]:
    """Path, label and position in `SPLITS` of the images of one class after another, (n,) each."""
    above, numbers = os.path.join(root, ""), {name: number for number, name in enumerate(class_names)}
    for split, classes in layout.items():
        part = SPLITS.index(split) if split is not None else -1
        for name in sorted(classes, key=numbers.__getitem__):
            images = sorted(
                path.removeprefix(above).replace(os.sep, "/")
                for folder in classes[name]
                for path in walk.image_paths(folder)
            )
            if not images and to_learn:
                folder = printable(classes[name][0].relative_to(root).as_posix())
                raise UserError(
                    f"data.root={root}: class folder {folder!r} holds no image ({looked_for(walk.other_kinds)}); "
                    "add images or remove the folder"
                )
            yield np.array(images, dtype=np.str_), _repeated(numbers[name], images), _repeated(part, images)


def _repeated(number: int, images: list[str]) -> IntArray:
    return np.full(len(images), number, dtype=np.int64)


def _tell_left_out(walk: Walk, root: Path) -> None:
    """Warn of files that are images perhaps, and of masks, that were left out; say how many other files lie there."""
    masks = {path: count for path, count in walk.masks.items() if count}
    if masks:
        first = printable(next(iter(masks)).relative_to(root).as_posix())
        number = sum(masks.values())
        what = plural(number, "mask beside images is", "masks beside images are")
        _log.warning("%s left out, first: %s; data.leave_out=[] takes them", what, first)
    strange = walk.strange_kinds()
    if strange:
        kinds = _kinds(strange)
        what = plural(strange.total(), "image cannot be read and is", "images cannot be read and are")
        _log.warning("%s left out (%s; %s)", what, kinds, looked_for(strange))
    others = walk.other_kinds - strange
    if others:
        what = plural(others.total(), "file beside the images is no image", "files beside the images are no images")
        _log.info("%s (%s)", what, _kinds(others))


def _kinds(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {printable(kind)}" for kind, count in counts.most_common(_KINDS_SHOWN))

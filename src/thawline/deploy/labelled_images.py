"""Images with labels to evaluate a model on: a folder of class folders, or a table with the columns path and label."""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thawline.amounts import plural
from thawline.data.sources.class_names import class_name
from thawline.data.sources.folder_walk import Walk, looked_for
from thawline.data.sources.source import SPLITS, Split
from thawline.data.sources.split_names import split_of_name
from thawline.data.sources.table_rows import COLUMNS, read_rows
from thawline.errors import UserError
from thawline.printable import printable

ALL_SPLITS = "all"  # for --split
_JUDGES: tuple[Split, ...] = ("test", "val")  # which split is evaluated if none is named, the first that has images
_OF_ANSWERS = ("probability", "entropy")  # columns beside label in what `predict` and `evaluate` write
_DEEPEST = 3  # folders between the folder given and a class folder: dataset/fold1/test/cat


@dataclass(frozen=True)
class Labelled:
    """An image file, the label that the user gave it, and the split that it lies in, or None."""

    path: Path
    label: str
    split: Split | None = None


@dataclass(frozen=True)
class LabelledImages:
    """Images of a folder or a table.

    Attributes:
        where: The folder or the table.
        split: Which split of it; None if it has none, or all are taken.
        notes: What the user should know about the reading, a sentence each.
    """

    where: Path
    images: list[Labelled]
    split: Split | None
    notes: list[str]


def labelled_images(where: Path, *, class_names: Collection[str], split: str | None = None) -> LabelledImages:
    """The images of a folder or a table, without opening them.

    Args:
        class_names: Of the model; they show at which depth of the folder the classes lie.
        split: `train`, `val`, `test` or `all`; None takes test, or val, where there are splits.
    Raises:
        UserError: There is nothing of that kind, no image, or no image of the split.
    """
    notes: list[str] = []
    if where.is_dir():
        images = _of_folder(where, set(class_names), notes)
    elif where.is_file():
        images = _of_table(where, notes)
    else:
        raise UserError(
            f"{printable(where)}: no such folder or file; give a folder of class folders, or a table with the columns "
            "path and label"
        )
    taken = _split_to_take(where, images, split, notes)
    kept = [image for image in images if taken is None or image.split == taken]
    return LabelledImages(where, kept, taken, notes)


def _split_to_take(where: Path, images: Sequence[Labelled], split: str | None, notes: list[str]) -> Split | None:
    there = [name for name in SPLITS if any(image.split == name for image in images)]
    wanted = next((name for name in SPLITS if name == split), None)
    if wanted is not None and wanted not in there:
        has = f"its splits are {', '.join(there)}" if there else "it has no splits"
        raise UserError(f"--split {split}: {printable(where)} has no image of it; {has}")
    if wanted is not None:
        return wanted
    if split == ALL_SPLITS or not there:
        return None
    taken = next((name for name in _JUDGES if name in there), None)
    if taken is not None and len(there) > 1:
        notes.append(f"of the splits {', '.join(there)} only {taken} is evaluated; --split all takes every image")
    return taken


def _of_folder(root: Path, known: set[str], notes: list[str]) -> list[Labelled]:
    try:
        return list(_in_class_folders(root, known, notes))
    except UserError as error:  # the words of the walk are for data.root
        raise UserError(str(error).removeprefix("data.root: ")) from error


def _in_class_folders(root: Path, known: set[str], notes: list[str]) -> Iterator[Labelled]:
    walk = Walk()
    loose = walk.loose(root)
    folders = _class_folders(root, walk, known, deepest=_DEEPEST) or walk.subfolders(root)
    if not folders:
        what = f"holds {plural(len(loose), 'image')} without class folders" if loose else "holds no class folder"
        raise UserError(
            f"{printable(root)}: {what}; sort the images into folders named after their classes, or give a table with "
            f"the columns path and label ({looked_for()})"
        )
    if loose:
        notes.append(f"left out, in no class folder: {len(loose)}, the first is {printable(loose[0].name)}")
    number = 0
    for folder in sorted(folders):
        above = folder.relative_to(root).parts[:-1]
        for path in sorted(walk.images(folder)):
            number += 1
            yield Labelled(path, class_name(folder.name), _split_in(above + path.relative_to(folder).parts[:-1]))
    if not number:
        raise UserError(f"{printable(root)}: holds no image ({looked_for(walk.other_kinds)})")
    if strange := walk.strange_kinds():
        kinds = ", ".join(f"{count} {printable(kind)}" for kind, count in strange.most_common(3))
        notes.append(f"left out, perhaps images: {kinds} ({looked_for(strange)})")
    if masks := sum(walk.masks.values()):
        notes.append(f"left out, masks beside images: {masks}")


def _class_folders(folder: Path, walk: Walk, known: set[str], *, deepest: int) -> list[Path]:
    """The folders at the first depth at which one is named after a class of the model, in every branch."""
    inside = walk.subfolders(folder)
    if any(class_name(path.name) in known for path in inside):
        return inside
    if not deepest:
        return []
    return [deeper for path in inside for deeper in _class_folders(path, walk, known, deepest=deepest - 1)]


def _split_in(folders: Sequence[str]) -> Split | None:
    return next((split for name in folders if (split := split_of_name(name))), None)


def _of_table(file: Path, notes: list[str]) -> list[Labelled]:
    try:
        rows = read_rows(file, {column: column for column in (*COLUMNS, *_OF_ANSWERS)})
    except UserError as error:  # its words are for data=table
        text = re.sub(r"; name it with data\.columns\.\w+=NAME", "; it needs the columns path and label", str(error))
        raise UserError(text.removeprefix("data.file=")) from error
    if any(all(row.values[column] is not None for column in _OF_ANSWERS) for row in rows):
        raise UserError(
            f"{printable(file)}: is what predict wrote, not labels: its column label holds a model's answers; give the "
            f"right labels, or, where you corrected them by hand, delete the columns {' and '.join(_OF_ANSWERS)}"
        )
    labels: dict[Path, str] = {}
    splits: dict[Path, Split | None] = {}
    without, again = 0, 0
    for row in rows:
        path, label, split = (row.values[key] for key in ("path", "label", "split"))
        if path is None or label is None:
            without += 1
            continue
        place, name = _place(file, str(path)), class_name(str(label).strip())
        if labels.setdefault(place, name) != name:
            raise UserError(
                f"{printable(file)}, line {row.line}: {printable(path)} has two labels, {labels[place]!r} and {name!r};"
                " keep one"
            )
        again += place in splits
        splits[place] = _split_of(file, row.line, split)
    if not labels:
        raise UserError(f"{printable(file)}: no row has a path and a label")
    if without:
        notes.append(f"left out, rows without a path or a label: {without}")
    if again:
        notes.append(f"left out, rows that repeat an image: {again}")
    return [Labelled(place, label, splits[place]) for place, label in labels.items()]


def _split_of(file: Path, line: int, value: object) -> Split | None:
    if value is None:
        return None
    split = split_of_name(str(value))
    if split is None:
        raise UserError(
            f"{printable(file)}, line {line}: split {printable(value)!r}; allowed are {', '.join(SPLITS)}, or nothing"
        )
    return split


def _place(file: Path, text: str) -> Path:
    """The file that a row names: relative to the table, or else to the current folder."""
    for name in (text, text.replace("\\", "/")):  # a table from Windows
        for folder in (file.parent, Path()):
            path = Path(os.path.normpath(folder / name))
            if os.path.isfile(path):  # a name that is too long is no file, and no error
                return path
    return Path(os.path.normpath(file.parent / text))

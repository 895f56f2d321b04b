"""Where a folder keeps its classes and splits: recognised where there is one reading, refused where there are two.

Every reading that is not plain class folders, or train/ with class folders, is logged.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from thawline.amounts import plural
from thawline.data.sources.class_checks import LAYOUT, Classes
from thawline.data.sources.class_names import class_name
from thawline.data.sources.folder_walk import Walk, holds_images
from thawline.data.sources.source import SPLITS, Split
from thawline.data.sources.split_names import is_numbered_part, is_unlabelled_name, split_of_name
from thawline.errors import UserError, named
from thawline.printable import printable

_SHARED = 0.5  # share of sub-folders' names that stand in several classes, from which they may be the classes

_log = logging.getLogger(__name__)


def find_layout(root: Path, walk: Walk, *, class_level: int | None = None) -> dict[Split | None, Classes]:
    """The folders of every class in each split, train first; the key None stands for no splits.

    Args:
        class_level: Which folder names the class: 1, the first below `root` or below a split's folder, or 2, the
            folders in those. None works it out.
    Raises:
        UserError: The folder can be read in two ways, or in none.
    """
    base = _unwrapped(root, walk)
    splits = _find_splits(root, base, walk)
    if None in splits and class_level is None and (by_class := _splits_in_classes(base, walk)):
        return by_class
    return {split: _classes(root, folder, walk, class_level) for split, folder in splits.items()}


def _unwrapped(folder: Path, walk: Walk) -> Path:
    """`folder`, or the one folder in it that holds everything: `dataset/`, `images/`."""
    while True:
        inside = walk.subfolders(folder)
        only = inside[0] if len(inside) == 1 else None
        if only is None or walk.loose(folder) or split_of_name(only.name) or walk.loose(only):
            return folder
        if not any(holds_images(child) for child in walk.subfolders(only)):
            return folder
        _log.info("The classes are read from %s, the only folder in %s.", printable(only), printable(folder))
        folder = only


def _find_splits(root: Path, base: Path, walk: Walk) -> dict[Split | None, Path]:
    """The folder of each split, or {None: base}.

    A folder `train` that holds images only, beside other folders, is a class of that name (of vehicles, say).
    """
    folders = walk.subfolders(base)
    named_so = [folder for folder in folders if split_of_name(folder.name)]
    if any(not is_unlabelled_name(folder.name) for folder in folders if folder not in named_so):
        _refuse_splits_as_classes(root, named_so, walk)
        named_so = [folder for folder in named_so if walk.subfolders(folder)]
    if not named_so:
        return {None: base}
    _pass_over_others(root, named_so[0], [folder for folder in folders if folder not in named_so])
    by_split: dict[Split, Path] = {}
    for folder in named_so:
        split = split_of_name(folder.name)
        assert split is not None
        if split in by_split:
            one, other = printable(by_split[split].name), printable(folder.name)
            way_out = " or ".join(leave_out_command(name) for name in (by_split[split].name, folder.name))
            raise UserError(f"data.root={root}: {one}/ and {other}/ both stand for {split}; add {way_out}")
        by_split[split] = folder
    if "train" not in by_split:
        raise UserError(f"data.root={root}: holds {named_so[0].name}/ but no train/; needed are {LAYOUT}")
    if any(folder.name.lower() not in SPLITS for folder in by_split.values()):
        names = ", ".join(f"{printable(folder.name)}/ is {split}" for split, folder in by_split.items())
        _log.info("Splits: %s.", names)
    opened = {split: _unwrapped_split(by_split[split], walk) for split in SPLITS if split in by_split}
    return {split: folder for split, folder in opened.items() if split == "train" or _is_labelled(folder, walk)}


def _refuse_splits_as_classes(root: Path, named_so: list[Path], walk: Walk) -> None:
    """Refuse `train/` and `test/` without class folders beside class folders: they are hardly two classes."""
    splits = {split_of_name(folder.name) for folder in named_so}
    if "train" in splits and len(splits) > 1 and not any(walk.subfolders(folder) for folder in named_so):
        names = " and ".join(f"{printable(folder.name)}/" for folder in named_so)
        raise UserError(
            f"data.root={root}: {names} hold images without class folders, beside other folders; sort the images into "
            f"class folders, rename these, or pass over them with '{leave_out_command(*(f.name for f in named_so))}'"
        )


def leave_out_command(*names: str) -> str:
    """The setting that passes over folders of these names, in Hydra's grammar."""
    plain = re.compile(r"[A-Za-z0-9_-]+")
    listed = ",".join(name if plain.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in names)
    return f"data.leave_out=[{listed}]"


def _pass_over_others(root: Path, split: Path, others: list[Path]) -> None:
    """Leave out what stands beside splits if it cannot hold classes.

    Raises:
        UserError: It may hold them.
    """
    for folder in others:
        count = sum(1 for _ in Walk().images(folder))
        if count and not is_unlabelled_name(folder.name):
            raise UserError(
                f"data.root={root}: {split.name}/ holds class folders, but {folder.name!r} stands beside it; "
                f"allowed are train, val (or valid), test there and nothing else, or class folders only. "
                f"Leave it out with '{leave_out_command(folder.name)}'"
            )
        if count:
            what = plural(count, "image")
            _log.warning("%s holds %s without a class; the folder is left out", printable(folder), what)


def _unwrapped_split(folder: Path, walk: Walk) -> Path:
    """`seg_train/seg_train/` -> the inner folder: one folder in a split's cannot be its classes."""
    inside = walk.subfolders(folder)
    if len(inside) == 1 and not walk.loose(folder) and any(map(holds_images, walk.subfolders(inside[0]))):
        return inside[0]
    return folder


def _is_labelled(folder: Path, walk: Walk) -> bool:
    """Whether a split's folder holds class folders, not images directly, as the test set of a competition does."""
    loose = walk.loose(folder)
    if loose and not walk.subfolders(folder):
        what = plural(len(loose), "image")
        _log.warning("%s holds %s without class folders; left out", printable(folder), what)
        return False
    return True


def _splits_in_classes(base: Path, walk: Walk) -> dict[Split | None, Classes] | None:
    """`cat/train`, `cat/test`, `dog/train`, ...: the splits lie in the classes. None where they do not."""
    firsts = walk.subfolders(base)
    inside = {first: walk.subfolders(first) for first in firsts}
    splits = {split_of_name(child.name) for children in inside.values() for child in children}
    whole = len(firsts) > 1 and all(inside.values()) and not any(walk.loose(first) for first in firsts)
    if not whole or None in splits or "train" not in splits:
        _refuse_some_splits_in_classes(base, inside)
        return None
    result: dict[Split | None, Classes] = {split: {} for split in SPLITS if split in splits}
    for first, children in inside.items():
        for child in children:
            result[split_of_name(child.name)].setdefault(class_name(first.name), []).append(child)
    _log.info("Classes: %s; the splits lie in them.", named([printable(first.name) for first in firsts]))
    return result


def _refuse_some_splits_in_classes(base: Path, inside: Mapping[Path, list[Path]]) -> None:
    for first, children in inside.items():
        named_so = [child for child in children if split_of_name(child.name)]
        if len({split_of_name(child.name) for child in named_so}) > 1 and len(inside) > 1:
            names = " and ".join(f"{printable(child.name)}/" for child in named_so)
            raise UserError(
                f"data.root={base}: {printable(first.name)}/ holds {names}, but not every class folder holds splits "
                "and nothing else; make them alike, or take all as images of the class with data.class_level=1"
            )


def _classes(root: Path, folder: Path, walk: Walk, level: int | None) -> Classes:
    _warn_of_loose(walk.loose(folder), folder, anything_else=bool(walk.subfolders(folder)))
    firsts = walk.subfolders(folder)
    loose = walk.loose(folder)
    if loose and not firsts:
        raise UserError(
            f"data.root={root}: {printable(folder)} holds {plural(len(loose), 'image')} without class folders, "
            "so their labels are not known; sort them into class folders, or list them in a table, "
            "data=table data.file=FILE"
        )
    if (level or _level(root, firsts, walk)) == 1:
        return _by_name(root, firsts)
    for first in firsts:
        _warn_of_loose(walk.loose(first), first, anything_else=True)
    return _merged(_by_name(root, walk.subfolders(first)) for first in firsts)


def _warn_of_loose(loose: list[Path], folder: Path, *, anything_else: bool) -> None:
    if loose and anything_else:
        _log.warning(
            "%s in %s outside any class folder and ignored: %s",
            plural(len(loose), "image lies", "images lie"),
            printable(folder),
            printable(min(loose).name),
        )


def _by_name(root: Path, folders: Iterable[Path]) -> Classes:
    classes: Classes = {}
    for folder in folders:
        twin = classes.setdefault(class_name(folder.name), [])
        if twin:
            raise UserError(
                f"data.root={root}: two class folders look the same, {twin[0].name!a} and {folder.name!a}; "
                "put their images into one of them"
            )
        twin.append(folder)
    return classes


def _merged(several: Iterable[Classes]) -> Classes:
    merged: Classes = {}
    for classes in several:
        for name, folders in classes.items():
            merged.setdefault(name, []).extend(folders)
    return merged


def _level(root: Path, firsts: list[Path], walk: Walk) -> int:
    """Which folder names the class, 1 or 2.

    With images directly in a first folder, or names in those that differ, there is one reading: 1.
    """
    inside = {first: [child for child in walk.subfolders(first) if holds_images(child)] for first in firsts}
    if len(firsts) < 2 or not all(inside.values()) or any(walk.loose(first) for first in firsts):
        return 1
    counts = Counter(class_name(child.name) for children in inside.values() for child in children)
    shared = [name for name, count in counts.items() if count > 1]
    if len(counts) < 2 or len(shared) < _SHARED * len(counts) or all(map(is_numbered_part, counts)):
        return 1
    if all(is_numbered_part(first.name) for first in firsts):
        parts, classes = named([printable(first.name) for first in firsts]), named(sorted(counts))
        _log.info("The folders %s are parts of one set; its classes are %s.", parts, classes)
        return 2
    parents, children = named([printable(first.name) for first in firsts]), named(sorted(counts))
    raise UserError(
        f"data.root={root}: the same sub-folders stand in several folders, so there are two ways to read it: "
        f"for the classes {parents} add data.class_level=1, for the classes {children} add data.class_level=2"
    )

"""Checks of the classes that each split has, from folders or from a table."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from thawline.data.sources.class_names import distinct, look_alike
from thawline.data.sources.folder_walk import looked_for
from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.errors import UserError, named

LAYOUT = "class folders directly, or train/ (with val/ and test/ if you have them) holding class folders"

_log = logging.getLogger(__name__)
Classes = dict[str, list[Path]]  # class -> the folders that hold its images


def check_classes(where: str, layout: Mapping[Split | None, Classes]) -> None:
    """Warn of classes that a split lacks.

    Args:
        where: Begins every message: the setting that names the data.
    Raises:
        UserError: There are no two classes, or a split has one that train lacks.
    """
    learned = next(iter(layout.values()))
    if not learned:
        raise UserError(f"{where}: no class folder found; needed are {LAYOUT} ({looked_for()})")
    for split, classes in layout.items():
        _refuse_unknown(where, split, learned, classes)
    if len(learned) == 1:
        only = next(iter(learned))
        raise UserError(f"{where} holds one class ({only!r}); at least two class folders are needed")
    for split, classes in layout.items():
        if not classes:
            raise UserError(f"{where}: {split}/ holds no class folder; add some or remove {split}/")
        absent = [name for name in learned if name not in classes]
        if absent:
            _log.warning("%s/ has no images of %s; nothing is known of such classes there", split, named(absent))


def check_labels(where: str, names: Sequence[str], labels: IntArray, parts: IntArray | None) -> None:
    """`check_classes` of labels, (N,), and their positions in `SPLITS`, (N,), None where no splits are given."""
    if parts is None:
        return check_classes(where, {None: {names[label]: [] for label in np.unique(labels)}})
    layout: dict[Split | None, Classes] = {}
    for number, split in enumerate(SPLITS):
        if (parts == number).any():
            layout[split] = {names[label]: [] for label in np.unique(labels[parts == number])}
    return check_classes(where, layout)


def _refuse_unknown(where: str, split: Split | None, learned: Classes, classes: Classes) -> None:
    unknown = [name for name in classes if name not in learned]
    if not unknown:
        return
    alike = look_alike(unknown[0], list(learned))
    hint = f" ({distinct(alike, unknown[0])} differ)" if alike else ""
    raise UserError(
        f"{where}: {split}/ has classes that train/ lacks: {', '.join(unknown)}{hint}; "
        "add them to train/ or remove them"
    )

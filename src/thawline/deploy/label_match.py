"""Labels that a user gave, matched by name with the classes of a model."""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from thawline.data.sources.class_names import distinct, look_alike
from thawline.errors import UserError, named
from thawline.printable import printable

_NEAR = 0.6  # difflib's default for what is similar


@dataclass(frozen=True)
class LabelMatch:
    """Which class each label is.

    Attributes:
        index: Label -> number of the class; labels that the model does not know are not in it.
        unknown: Label that the model does not know -> its number of images.
        absent: Classes of the model without an image.
        notes: Labels that are written in another way than the class, a sentence each.
    """

    index: dict[str, int]
    unknown: dict[str, int]
    absent: list[str]
    notes: list[str]


def match_labels(labels: Sequence[str], class_names: Sequence[str], *, where: str) -> LabelMatch:
    """Match by name; a label that differs from a class in case, spaces or invisible characters only is that class.

    Args:
        labels: One an image.
        where: Begins the message.
    Raises:
        UserError: The model knows none of the labels.
    """
    number = {name: index for index, name in enumerate(class_names)}
    counts = Counter(labels)
    index: dict[str, int] = {}
    notes = []
    for label in counts:
        if label in number:
            index[label] = number[label]
        elif alike := look_alike(label, class_names):
            index[label] = number[alike]
            left, right = distinct(label, alike).split(" and ", 1)
            notes.append(f"the label {left} is taken for the class {right}")
    unknown = {label: count for label, count in counts.most_common() if label not in index}
    if not index:
        raise UserError(
            f"{where}: no label is a class of the model; labels are {_listed(list(unknown))}; classes are "
            f"{_listed(class_names)}{_nearest(list(unknown), class_names)}"
        )
    seen = set(index.values())
    return LabelMatch(index, unknown, [name for name in class_names if number[name] not in seen], notes)


def _listed(names: Sequence[str]) -> str:
    return named([printable(name) for name in names], most=8)


def _nearest(labels: Sequence[str], class_names: Sequence[str]) -> str:
    for label in labels:
        if near := difflib.get_close_matches(label.casefold(), [name.casefold() for name in class_names], 1, _NEAR):
            name = next(name for name in class_names if name.casefold() == near[0])
            return f"; the nearest: {printable(label)} and {printable(name)}"
    return ""

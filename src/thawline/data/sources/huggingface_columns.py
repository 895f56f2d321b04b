"""Which columns of a Hugging Face data set hold the image, the class and the group."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError, named
from thawline.printable import printable

_FILES = ("binary", "large_binary", "string", "large_string")  # bytes of image files, or their paths
_CLASSES = ("string", "large_string", "bool", "int", "uint")  # int8 and others begin with one of these


@dataclass(frozen=True)
class Columns:
    """Names of columns; `group` is None where no column names groups."""

    image: str
    label: str
    group: str | None


def columns_of(features: Mapping[str, Any], given: Mapping[str, str | None], where: str) -> Columns:
    """The columns that `given` names; without a name the only one of images, and the only one of classes.

    Args:
        features: Column -> its type, of `datasets`.
        where: Begins messages.
    Raises:
        UserError: A column is missing, is of another type, or has to be named.
    """
    kinds = ("image", "label", "group")
    if unknown := [key for key in given if key not in kinds]:
        raise UserError(f"data.columns.{unknown[0]}: no such column; allowed are {', '.join(kinds)}")
    names = {key: given.get(key) for key in kinds}
    for key, name in names.items():
        if name is not None and name not in features:
            raise UserError(f"{where}: has no column {name!r} (data.columns.{key}); it has {_listed(features)}")
    image = names["image"] or _only("image", features, "Image", where)
    label = names["label"] or _only("label", features, "ClassLabel", where)
    _refuse_other("image", image, features, ("Image",), _FILES, where)
    _refuse_other("label", label, features, ("ClassLabel",), _CLASSES, where)
    return Columns(image, label, names["group"])


def _only(key: str, features: Mapping[str, Any], kind: str, where: str) -> str:
    columns = [name for name, feature in features.items() if type(feature).__name__ == kind]
    if len(columns) == 1:
        return columns[0]
    number = f"{len(columns)} columns" if columns else "no column"
    raise UserError(
        f"{where}: {number} of the type {kind}; it has {_listed(features)}; name the {key} with data.columns.{key}=NAME"
    )


def _refuse_other(
    key: str, name: str, features: Mapping[str, Any], kinds: tuple[str, ...], values: tuple[str, ...], where: str
) -> None:
    kind, of_value = type(features[name]).__name__, str(getattr(features[name], "dtype", ""))
    if kind in kinds or (kind == "Value" and of_value.startswith(values)):
        return
    needed = "an image, its bytes or its path" if key == "image" else "one class an image"
    raise UserError(
        f"{where}: the column {name!r} is {_type(features[name])}; needed is {needed}; name the {key} with "
        f"data.columns.{key}=NAME (it has {_listed(features)})"
    )


def _type(feature: Any) -> str:
    kind = type(feature).__name__
    return str(feature.dtype) if kind == "Value" else kind


def _listed(features: Mapping[str, Any]) -> str:
    return named([f"{printable(name)} ({_type(feature)})" for name, feature in features.items()], most=8)

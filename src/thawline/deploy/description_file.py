"""model.json: written with its checksum, and read with every check."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from thawline.deploy.description import MODEL_SCHEMA, Description
from thawline.deploy.description_checksum import fits_checksum, with_checksum
from thawline.errors import UserError
from thawline.models.pooling import CLASS_TOKEN
from thawline.settings.model_settings import IMAGE_SIZES
from thawline.strict_json import misfit, parse_json, read_bounded

DESCRIPTION_FILE = "model.json"
_KEYS = {"schema", *(part.name for part in fields(Description))}
_T = TypeVar("_T")
_SMALLEST, _LARGEST = IMAGE_SIZES
_FINEST = 64  # cells along a side; chosen: no backbone's first stage has a finer grid that is worth reading
_LEAST_CROP = 0.1  # chosen: timm's least is 0.75
_RGB = 3
_FITS = ("crop", "pad", "squash")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def write_description(folder: Path, description: Description) -> None:
    (folder / DESCRIPTION_FILE).write_bytes(with_checksum(description.text()).encode())


def read_description(folder: Path) -> Description:
    """The description in a model folder.

    Raises:
        UserError: It is missing, changed, no JSON, of a newer schema, or incomplete.
    """
    path = folder / DESCRIPTION_FILE
    try:
        content = read_bounded(path)
        body = _parsed(content, path)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; a model folder holds it beside model.safetensors"
        ) from error
    except ValueError as error:
        again = "make the folder again with `export.py RUN --format model`"
        raise UserError(f"{path}: not JSON ({error}); {again}") from error
    schema = body.pop("schema", None) if isinstance(body, dict) else None
    if not isinstance(schema, int):
        raise UserError(f"{path}: not the description of a model (no schema)")
    if schema > MODEL_SCHEMA:
        raise UserError(
            f"{path}: schema {schema} is newer than {MODEL_SCHEMA}, which this version reads; update thawline"
        )
    try:
        made = _made(Description, body)
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a complete description of a model ({error})") from error
    if problem := misfit(made, Description) or contradiction(made):
        raise UserError(f"{path}: not the description of a model ({problem})")
    return made


def _parsed(content: bytes, path: Path) -> Any:
    """The JSON value, if the content is that which the checksum was made of, or has none.

    Raises:
        UserError: It was changed.
        ValueError: It is no JSON.
    """
    fits = fits_checksum(content)
    body = parse_json(content.decode("utf-8")) if fits is not False else None
    if fits is None and isinstance(body, dict):  # versions that wrote no checksum wrote no other keys
        fits = body.keys() <= _KEYS
    if fits is False:
        raise UserError(
            f"{path}: its SHA-256 is not that on its second line; the file was changed or cut short: bring it back, "
            "or, if the change is yours, remove that line"
        )
    return body


def contradiction(description: Description) -> str | None:
    """What no model can have, though each value has its type; None where all can be."""
    built, seen, calibrated = description.architecture, description.preprocessing, description.calibration
    num_classes = len(description.class_names)
    thresholds = calibrated.class_thresholds
    can_be = {
        "class_names": num_classes > 0,
        "architecture.image_size": _SMALLEST <= built.image_size <= _LARGEST,
        "architecture.first_training": built.first_training >= 0,
        "architecture.feature_grids": all(CLASS_TOKEN <= grid <= _FINEST for grid in built.feature_grids),
        "architecture.stack_share": 0 <= built.stack_share <= 1,
        "preprocessing.size": _SMALLEST <= seen.size <= _LARGEST,
        "preprocessing.fit": seen.fit in _FITS,
        "preprocessing.interpolation": seen.interpolation in _INTERPOLATIONS,
        "preprocessing.crop_pct": _LEAST_CROP <= seen.crop_pct <= 1 / _LEAST_CROP,
        "preprocessing.mean": len(seen.mean) == _RGB,
        "preprocessing.std": len(seen.std) == _RGB and min(seen.std) > 0,
        "preprocessing.value_range": seen.value_range is None or len(seen.value_range) == 2,
        "preprocessing.channels": seen.channels is None
        or (len(seen.channels) in (1, _RGB) and min(seen.channels) >= 0),
        "preprocessing.decoded_side": seen.decoded_side is None or seen.decoded_side >= 1,
        "calibration.temperature": calibrated.temperature > 0,
        "calibration.class_thresholds": thresholds is None or len(thresholds) == num_classes,
    }
    return next((f"{name} has a value that no model can have" for name, good in can_be.items() if not good), None)


def _present(hint: Any) -> Any:
    """The type that a value has where it is there: `Unknown` of `Unknown | None`."""
    return next((kind for kind in get_args(hint) if isinstance(kind, type) and is_dataclass(kind)), hint)


def _made(kind: type[_T], body: Any) -> _T:
    """A dataclass from a JSON object; keys of later versions are left out."""
    if not isinstance(body, dict):
        raise TypeError(f"{kind.__name__} is no object")
    hints = get_type_hints(kind)
    values = {}
    for part in fields(kind):  # type: ignore[arg-type]
        if part.name in body:
            hint = hints[part.name] if body[part.name] is None else _present(hints[part.name])
            value = body[part.name]
            values[part.name] = _made(hint, value) if isinstance(hint, type) and is_dataclass(hint) else value
    return kind(**values)

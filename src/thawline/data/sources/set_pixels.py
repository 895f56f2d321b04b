"""How a set of image files becomes 8-bit RGB: the range of its values, decided from a sample of the images."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thawline.amounts import plural
from thawline.data.decode import Pixels, read_bytes, read_samples
from thawline.data.sources.source import IntArray
from thawline.data.value_range import ValueRange, WideImage, range_of, to_8_bit
from thawline.errors import UserError
from thawline.printable import printable

_LOOKED_AT = 64  # images; chosen: read within seconds, and the percentiles of so many are steady
_BLACK, _WHITE = 8, 247  # of 255; chosen: an image all below, or all above, shows nothing to the eye

_log = logging.getLogger(__name__)


def checked_pixels(value_range: object, channels: object) -> Pixels:
    """From the settings `data.value_range` and `data.channels`, lists or None; raises `UserError` for other values."""
    return Pixels(_range(value_range), _channels(channels))


def _range(value: object) -> ValueRange | None:
    if value is None or value == "auto":
        return None
    bounds = _items(value)
    numbers = len(bounds) == 2 and all(isinstance(b, (int, float)) and not isinstance(b, bool) for b in bounds)
    if not numbers or not bounds[0] < bounds[1]:
        raise UserError(f"data.value_range={value}: give auto, or [low,high] with low below high")
    return ValueRange(float(bounds[0]), float(bounds[1]))


def _channels(value: object) -> tuple[int, ...] | None:
    if value is None:
        return None
    numbers = _items(value)
    if len(numbers) not in (1, 3) or not all(type(number) is int and number >= 0 for number in numbers):
        raise UserError(f"data.channels={value}: give one or three numbers of channels, counted from 0, or null")
    return tuple(numbers)


def _items(value: object) -> list[Any]:
    """Those of a list of any kind, also of one that Hydra read; none of anything else."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def decided_range(root: Path, paths: NDArray[np.str_], pixels: Pixels, *, looked: IntArray) -> ValueRange | None:
    """The range of a data set, from at most 64 of the images `looked`; None where these have 8 bits.

    Raises:
        UserError: Images of whole numbers and images of fractions lie in one data set, and no range is given.
    """
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(looked)[:_LOOKED_AT])
    read = {str(path): _samples(root / str(path), pixels) for path in paths[some]}
    wide = {path: image for path, image in read.items() if isinstance(image, WideImage)}
    if not wide:
        return None
    value_range = pixels.value_range
    if value_range is None:
        _refuse_mixture(wide)
        value_range = range_of(list(wide.values()))
        _log.info(
            "Values of the images: %g becomes black, %g white, from %d of %s; data.value_range sets it.",
            *(value_range.low, value_range.high, len(wide), plural(len(looked), "image")),
        )
    levels = {path: np.asarray(to_8_bit(image, value_range)) for path, image in wide.items()}
    warn_of_extremes(list(levels), np.array([[array.min(), array.max()] for array in levels.values()]))
    return value_range


def _samples(path: Path, pixels: Pixels) -> object:
    try:
        return read_samples(read_bytes(path), name=printable(path), pixels=pixels).image
    except UserError:  # told where every file is read, or when it is used
        return None


def _refuse_mixture(wide: dict[str, WideImage]) -> None:
    floats = [path for path, image in wide.items() if image.is_float and image.window is None]
    whole = [path for path, image in wide.items() if not image.is_float and image.window is None]
    if floats and whole:
        raise UserError(
            f"data.value_range: {printable(whole[0])} holds whole numbers, {printable(floats[0])} fractions; "
            "convert one kind, or give the range of both, data.value_range=[low,high]"
        )


def warn_of_extremes(paths: "list[str] | NDArray[np.str_]", extremes: NDArray[np.integer]) -> None:
    """Warn of images that are nearly all black, or all white.

    Args:
        extremes: Lowest and highest level of each image, of 255, (N, 2).
    """
    for word, shows_nothing in (("black", extremes[:, 1] <= _BLACK), ("white", extremes[:, 0] >= _WHITE)):
        places = np.flatnonzero(shows_nothing)
        if len(places):
            _log.warning(
                "%s out nearly %s everywhere, first: %s",
                *(plural(len(places), "image comes", "images come"), word, printable(paths[places[0]])),
            )

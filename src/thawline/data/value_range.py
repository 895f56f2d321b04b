"""Which values of wide samples become black and white: decided once for a data set, so that brightness has one meaning.

Samples of 8 bits need no range. Wider ones (12 bits in 16, signed, float) do not say which of their values occur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PERCENTILES = (0.1, 99.9)  # chosen: beyond them lie hot pixels and burnt-in marks
_VALUES_OF_AN_IMAGE = 4096  # that are looked at; chosen: the 0.1 % percentile has four of them
_PIXELS_AT_ONCE = 2**18  # that are floats at a time; chosen: they stay in a processor's cache
_TOPS = (1, 255, 1023, 4095, 16383, 65535)  # largest values of the usual ranges that begin at 0


class ValueRange(NamedTuple):
    """`low` becomes black, `high` white; values beyond are clipped."""

    low: float
    high: float


@dataclass(frozen=True)
class WideImage:
    """The samples of one image, wider than 8 bits.

    Attributes:
        values: (H, W) or (H, W, 3), integers or floats, in the units of the file.
        alpha: 0 transparent to 1 opaque, (H, W), float32; None: opaque.
        window: What the file itself says of low and high (DICOM).
        inverted: Whether low is white (DICOM's MONOCHROME1, TIFF's WhiteIsZero).
    """

    values: NDArray[np.generic]
    alpha: NDArray[np.float32] | None = None
    window: ValueRange | None = None
    inverted: bool = False

    @property
    def is_float(self) -> bool:
        return bool(np.issubdtype(self.values.dtype, np.floating))


def range_of(images: Sequence[WideImage]) -> ValueRange:
    """The range of a data set: the median window where all files state one, else percentiles of all the images.

    A usual range that begins at 0 and that the values fill at least by half is taken as it is: 0 to 4095, say.
    """
    windows = [image.window for image in images if image.window is not None]
    if len(windows) == len(images):
        return ValueRange(*(float(bound) for bound in np.median(np.array(windows), axis=0)))
    values = np.concatenate([_some_values(image.values) for image in images])
    low, high = (float(bound) for bound in np.percentile(values, _PERCENTILES))
    for top in _TOPS:
        if 0 <= low <= top / 10 and top / 2 < high <= top:
            return ValueRange(0.0, float(top))
    return ValueRange(low, high) if high > low else ValueRange(min(low, 0.0), max(high, 1.0))


def _some_values(values: NDArray[np.generic]) -> NDArray[np.float64]:
    flat = values.reshape(-1)
    some = flat[:: max(1, flat.size // _VALUES_OF_AN_IMAGE)].astype(np.float64)
    finite = some[np.isfinite(some)]
    return finite if len(finite) else np.zeros(1)


def to_8_bit(image: WideImage, value_range: ValueRange) -> Image.Image:
    """Mode RGB, uint8; transparent parts lie over white, values that are no numbers are `low`."""
    height, width = image.values.shape[:2]
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _PIXELS_AT_ONCE // max(1, width))
    for start in range(0, height, rows):
        block = slice(start, start + rows)
        alpha = None if image.alpha is None else image.alpha[block, :, None]
        pixels[block] = _levels(image.values[block], alpha, value_range, inverted=image.inverted)
    return Image.fromarray(pixels)


def _levels(
    values: NDArray[np.generic], alpha: NDArray[np.float32] | None, value_range: ValueRange, *, inverted: bool
) -> NDArray[np.float64]:
    """(H, W) -> (H, W, 1), (H, W, 3) -> the same: whole numbers from 0 to 255; `alpha` is (H, W, 1)."""
    low, high = value_range
    finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    levels: NDArray[np.float64] = np.clip(np.rint((finite - low) * 255.0 / (high - low)), 0, 255)
    if inverted:
        levels = 255 - levels
    if levels.ndim == 2:
        levels = levels[..., None]
    return levels if alpha is None else np.rint(levels * alpha + 255.0 * (1 - alpha))

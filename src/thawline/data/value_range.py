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
    low, high = value_range
    values = np.nan_to_num(image.values.astype(np.float64), nan=low, posinf=high, neginf=low)
    levels = np.clip(np.rint((values - low) * 255.0 / (high - low)), 0, 255)
    if image.inverted:
        levels = 255 - levels
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=-1)  # (H, W, 3)
    if image.alpha is not None:
        alpha = image.alpha[..., None]
        levels = np.rint(levels * alpha + 255.0 * (1 - alpha))
    return Image.fromarray(levels.astype(np.uint8))

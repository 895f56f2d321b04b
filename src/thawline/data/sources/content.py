"""What reading every image file of a data set shows, in arrays: no Python object for each image."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.sources.fingerprint import DIGEST_BYTES
from thawline.data.sources.source import IntArray

THUMB = 16  # pixels; chosen: shows the composition of an image and hides noise and the marks of compression
# A large JPEG is decoded at a reduced scale, and any large image is reduced by a quick method first, to no less than
# this many times `THUMB`. Chosen: docs/images.md has the time and the difference of the thumbs.
THUMB_GAP = 8


def thumb_of(image: Image.Image) -> Image.Image:
    """The image squeezed to `THUMB` pixels a side, alike wherever thumbs or the light of them are compared."""
    return image.resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=THUMB_GAP)


@dataclass(frozen=True)
class Content:
    """What reading every file of a folder shows.

    Attributes:
        digests: BLAKE2b digest of each file as hexadecimal digits, (N,), bytes; empty if the file does not decode.
        sizes: Width and height in pixels, upright, (N, 2), int64.
        is_wide: Whether the samples are wider than 8 bits, (N,), bool.
        thumbs: Each image squeezed to `THUMB` pixels a side, (N, THUMB, THUMB, 3), uint8.
    """

    digests: NDArray[np.bytes_]
    sizes: IntArray
    is_wide: NDArray[np.bool_]
    thumbs: NDArray[np.uint8]

    @classmethod
    def empty(cls, num_images: int) -> "Content":
        """Of images that were not read; to be filled in."""
        return cls(
            np.zeros(num_images, dtype=f"S{2 * DIGEST_BYTES}"),
            np.zeros((num_images, 2), dtype=np.int64),
            np.zeros(num_images, dtype=np.bool_),
            np.zeros((num_images, THUMB, THUMB, 3), dtype=np.uint8),
        )

    def take(self, images: "IntArray | NDArray[np.bool_]") -> "Content":
        """That of these images only."""
        return Content(*(column[images] for column in self.columns().values()))

    def put(self, images: IntArray, other: "Content") -> None:
        """Write what `other` holds, (n,), to these places."""
        for mine, theirs in zip(self.columns().values(), other.columns().values(), strict=True):
            mine[images] = theirs

    def columns(self) -> dict[str, NDArray[Any]]:
        """Its arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

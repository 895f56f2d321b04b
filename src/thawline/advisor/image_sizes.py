"""Sides of the images to try on a backbone, from the sides that the images have on disk."""

import math

import numpy as np

from thawline.data.sources.source import ImageSource, IntArray

ENLARGED = 2.0  # chosen: images that are enlarged by this factor or more count as small
_STRIDE = 32  # pixels; what most backbones reduce an image by, so that other sides would be cut at the edge
_LEAST = 64  # pixels; chosen: then the last stage of most backbones still has 2 x 2 positions
_LARGER = 1.25  # chosen: timm's models that were trained at 224 are mostly tested at 288, the next stride above this
_NUM_OPENED = 32  # images that are opened for their size


def short_side(source: ImageSource, indices: IntArray) -> float:
    """Median of the shorter sides of a few of these images, in pixels."""
    opened = indices[:: max(1, len(indices) // _NUM_OPENED)][:_NUM_OPENED]
    return float(np.median([min(source.load(int(index)).size) for index in opened]))


def smaller_size(side: float, usual: int) -> int | None:
    """A side below `usual`, the backbone's, where images of `side` pixels are small for it: theirs, or a little more.

    >>> smaller_size(28, 224), smaller_size(100, 224), smaller_size(150, 224)
    (64, 128, None)
    """
    size = max(_LEAST, math.ceil(side / _STRIDE) * _STRIDE)
    return size if side * ENLARGED <= usual and size < usual else None


def larger_size(side: float, usual: int) -> int | None:
    """A side above `usual` where the images have so many pixels.

    >>> larger_size(640, 224), larger_size(256, 224)
    (288, None)
    """
    size = math.ceil(_LARGER * usual / _STRIDE) * _STRIDE
    return size if side >= size else None


def sizes_around(side: float, usual: int) -> list[int]:
    """`usual`, and what is worth trying beside it; rising."""
    around = (smaller_size(side, usual), usual, larger_size(side, usual))
    return [size for size in around if size is not None]

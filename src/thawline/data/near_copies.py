"""Images that are nearly the same: frames of one clip, re-encoded or resized copies, also mirrored.

Two images are near copies where, squeezed to 16 x 16 pixels, they differ by few grey levels and share what sets them
apart from the others: their differences from the mean image, without its own pattern and their mean brightness, are
nearly parallel. So images of one scene from a fixed camera are not near copies only because the scene is the same.

Measured with 400 images each, evenly spaced: near copies among solar cells, photographs' crops, digits, textiles,
silhouettes and simulated ultrasound 0 %; among 400 solar cells in a row, cut from the same modules, 2.8 %; among frames
of 20 synthetic clips 100 %.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from thawline.data.sources.source import IntArray

_PARALLEL = 0.98  # cosine; chosen by the measurement above
_LEVELS = 8.0  # root mean square difference, of 255; chosen by the measurement above
_SQUARE = 4  # pixels: 48 averages tell most pairs apart, at a sixteenth of the operations
_ROUNDING = 1.01  # of squared distances in fp32
_IMAGES_AT_ONCE = 2048  # compared with as many others; their thumbs, differences and cosines take about 100 MB

_NONE = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def near_groups(thumbs: NDArray[np.uint8]) -> IntArray:
    """A number for each image, the same for near copies, and for near copies of those: (N, h, w, 3) -> (N,), int64."""
    return groups_of_pairs(*near_pairs(thumbs), num_images=len(thumbs))


def near_pairs(thumbs: NDArray[np.uint8]) -> tuple[IntArray, IntArray]:
    """Every pair of near copies, (P,) and (P,), int64 indices, the first below the second."""
    everything = np.arange(len(thumbs), dtype=np.int64)
    pairs = [_NONE]
    if len(thumbs):
        pairs += [
            (rows[rows < others], others[rows < others])
            for rows, others in _near_pairs(_Prepared(thumbs), everything, everything)
        ]
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([others for _, others in pairs])


def groups_of_pairs(rows: IntArray, others: IntArray, *, num_images: int) -> IntArray:
    """A number for each image, the same for images that pairs join, directly or over others: (N,), int64."""
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, others)), shape=(num_images, num_images))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def near_copies_in(thumbs: NDArray[np.uint8], images: IntArray, others: IntArray) -> tuple[IntArray, IntArray]:
    """Those of `images` that have a near copy among `others`, and one such copy of each, int64 indices."""
    prepared = _Prepared(thumbs)
    pairs = [_NONE, *_near_pairs(prepared, images, others)]
    rows = np.concatenate([rows for rows, _ in pairs])
    columns = np.concatenate([columns for _, columns in pairs])
    first = np.unique(rows, return_index=True)[1]
    return rows[first], columns[first]


class _Prepared:
    """The thumbs as they are, and as directions away from the mean image: made for some images, as they are needed."""

    def __init__(self, thumbs: NDArray[np.uint8]) -> None:
        self._thumbs, self._coarse = thumbs, _coarse(thumbs)
        mean = thumbs.reshape(len(thumbs), -1).mean(axis=0).astype(np.float32)  # (D,)
        self.width = len(mean)
        self._mean, self._without = mean, [_unit(np.ones_like(mean)), _unit(mean - mean.mean())]

    def of(self, images: IntArray, *, mirrored: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Thumbs and directions of these images, (n, D), float32, each."""
        thumbs = self._thumbs[images]
        plain = (thumbs[:, :, ::-1] if mirrored else thumbs).reshape(len(images), -1).astype(np.float32)
        rest = plain - self._mean
        for vector in self._without:
            rest -= np.outer(rest @ vector, vector)
        lengths = np.linalg.norm(rest, axis=1, keepdims=True)
        return plain, np.asarray(rest / np.maximum(lengths, 1e-6))

    def may_be_near(self, images: IntArray, others: IntArray, *, mirrored: bool) -> NDArray[np.bool_]:
        """Pairs (n, m) that differ by few grey levels in the averages over squares; all near copies are among them."""
        mine, theirs = self._coarse[images], self._coarse[others]
        mine = (mine[:, :, ::-1] if mirrored else mine).reshape(len(mine), -1)
        theirs = theirs.reshape(len(theirs), -1)
        ones = (np.ones((len(rows), 1), dtype=np.float32) for rows in (mine, theirs))
        left = np.concatenate([-2 * mine, _squares(mine), next(ones)], 1)
        right = np.concatenate([theirs, next(ones), _squares(theirs)], 1)
        return np.asarray(left @ right.T <= _ROUNDING * _LEVELS**2 * self.width)


def _coarse(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Averages over squares of `_SQUARE` pixels a side, (N, h', w', 3), times that side.

    So their squared distance is at most that of the thumbs, of which they are an orthogonal projection.
    """
    height, width = (side // _SQUARE for side in thumbs.shape[1:3])
    whole = thumbs[:, : height * _SQUARE, : width * _SQUARE]
    rows = whole.reshape(len(thumbs), height, _SQUARE, -1).sum(axis=2, dtype=np.uint16)
    sums: NDArray[np.float32] = rows.reshape(len(thumbs), height, width, _SQUARE, -1).sum(axis=3, dtype=np.float32)
    return sums / np.float32(_SQUARE)


def _squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((rows**2).sum(axis=1, keepdims=True))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def _near_pairs(prepared: _Prepared, images: IntArray, others: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs of near copies, as (indices of `images`, indices of `others`); an image is none of itself."""
    for block in _blocks(images):
        for other_block in _blocks(others):
            may = np.zeros((len(block), len(other_block)), dtype=np.bool_)
            for mirrored in (False, True):
                may |= prepared.may_be_near(block, other_block, mirrored=mirrored)
            few, few_others = block[may.any(axis=1)], other_block[may.any(axis=0)]
            if len(few):
                yield _pairs_among(prepared, few, few_others)


def _pairs_among(prepared: _Prepared, images: IntArray, others: IntArray) -> tuple[IntArray, IntArray]:
    limit = _LEVELS**2 * prepared.width
    other_plain, other_directions = prepared.of(others)
    near = np.zeros((len(images), len(others)), dtype=np.bool_)
    for mirrored in (False, True):
        plain, directions = prepared.of(images, mirrored=mirrored)
        alike = _squares(plain) + _squares(other_plain).T - 2 * (plain @ other_plain.T) <= limit
        if alike.any():  # most have no such pair, and need no second product
            near |= alike & (directions @ other_directions.T >= _PARALLEL)
    near &= images[:, None] != others[None]
    rows, columns = np.nonzero(near)
    return images[rows], others[columns]


def _blocks(images: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        yield images[start : start + _IMAGES_AT_ONCE]

"""Which images are crops of others: likely pairs by a backbone's features, then aligned pixel by pixel.

A crop of nine tenths is another thumb, so thumbs do not tell. In the features of a middle stage, averaged in four
quarters, it lies among the nearest of its original. Each image is laid over its nearest ones in all sizes and places,
and their normalized cross-correlation, of details alone, says whether one is a part of the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from thawline.data.sources.source import IntArray
from thawline.machine.thread_trial import threads_restored

SIDE = 64  # pixels at which images are compared
_SIZES = range(48, 62)  # of a crop in them: 75 to 95 % of each side; larger ones are near copies by their thumbs
_FINE, _COARSE = 1.0, 4.0  # standard deviations in pixels: details between them are compared
# Chosen on 480 images of four sources with planted crops of 90 %: crops of photographs, textiles and ultrasound have
# 0.95 and more; with this, two pairs of 480 solar cells, which are much alike, are taken for crops.
ALIKE = 0.9
_NEAREST = 3  # images that each is laid over; chosen: 96 % of the crops of textiles have their original among them
_MOST_PAIRS = 20_000  # the likest ones; chosen: they take about a minute of one core
_ROWS_AT_ONCE = 1024
_LEAST = 1e-3  # of the sum of squares of a part: a part without details is like nothing


@dataclass(frozen=True)
class Crops:
    """Pairs of images of which the first is a part of the second.

    Attributes:
        inner, outer: Places in the features, (P,) each, int64.
        likeness: Correlation of the aligned details, (P,), float64, at least `ALIKE`.
    """

    inner: IntArray
    outer: IntArray
    likeness: NDArray[np.float64]


_NONE = np.zeros(0, dtype=np.int64)
NO_CROPS = Crops(_NONE, _NONE, np.zeros(0))


def crops_among(features: Tensor, families: IntArray, grey: Callable[[int], NDArray[np.uint8]]) -> Crops:
    """Look for crops.

    Args:
        features: Of every image, (N, D), of a stage's quarters.
        families: The same number for images that are copies for another reason, (N,), int64.
        grey: Place -> image squeezed to `SIDE` x `SIDE`, grey levels.
    """
    likeness = dict[tuple[int, int], float]()
    details = _Details(grey)
    with threads_restored():
        torch.set_num_threads(1)  # the products are small: more threads wait for each other
        for inner, outers in _by_inner(_likely_pairs(features, families)):
            values = alignment(details.of(inner), torch.stack([details.of(outer) for outer in outers]))
            likeness |= {(inner, outer): float(value) for outer, value in zip(outers, values, strict=True)}
    found = [pair for pair, value in likeness.items() if value >= ALIKE and value > likeness[pair[::-1]]]
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Crops(pairs[:, 0], pairs[:, 1], np.array([likeness[pair] for pair in found], dtype=np.float64))


def alignment(inner: Tensor, outers: Tensor) -> Tensor:
    """The highest correlation of an image, made smaller, with a part of each of others: (B,), in [-1, 1].

    Args:
        inner: Details of one image, (SIDE, SIDE), float32.
        outers: Those of others, (B, SIDE, SIDE).
    """
    parts, squares = _integral(outers), _integral(outers.square())
    best = torch.full((len(outers),), -1.0)
    sizes = [F.interpolate(inner[None, None], size, mode="bilinear", antialias=True)[0, 0] for size in _SIZES]
    sizes = [small - small.mean() for small in sizes]
    padded = torch.stack([F.pad(small, (0, SIDE - len(small), 0, SIDE - len(small))) for small in sizes])
    spectra = torch.fft.rfft2(outers)[:, None] * torch.fft.rfft2(padded).conj()
    products = torch.fft.irfft2(spectra, s=(SIDE, SIDE))  # (B, sizes, SIDE, SIDE): by where the part begins
    for number, (size, small) in enumerate(zip(_SIZES, sizes, strict=True)):
        places = SIDE - size + 1
        energy = _of_parts(squares, size) - _of_parts(parts, size).square() / size**2  # (B, places, places)
        norms = (energy.clamp_min(_LEAST) * small.square().sum().clamp_min(_LEAST)).sqrt()
        best = torch.maximum(best, (products[:, number, :places, :places] / norms).flatten(1).amax(1))
    return best


def _integral(images: Tensor) -> Tensor:
    return F.pad(images.double().cumsum(1).cumsum(2), (1, 0, 1, 0))


def _of_parts(integral: Tensor, size: int) -> Tensor:
    """Sums over every square part with sides of `size`."""
    i = integral
    return i[:, size:, size:] - i[:, :-size, size:] - i[:, size:, :-size] + i[:, :-size, :-size]


class _Details:
    """Details of images, made when they are needed and kept as 8-bit levels."""

    def __init__(self, grey: Callable[[int], NDArray[np.uint8]]) -> None:
        self._grey, self._levels = grey, dict[int, NDArray[np.uint8]]()

    def of(self, place: int) -> Tensor:
        """(SIDE, SIDE), float32."""
        if place not in self._levels:
            self._levels[place] = self._grey(place)
        levels = self._levels[place].astype(np.float32)
        return torch.from_numpy(gaussian_filter(levels, _FINE) - gaussian_filter(levels, _COARSE))


def _likely_pairs(features: Tensor, families: IntArray) -> IntArray:
    """Each image with its nearest ones of other families, both ways, (P, 2), int64; the likest if they are many."""
    rows = (features - features.mean(0)) / features.std(0, correction=0).clamp_min(1e-6)
    rows, of = F.normalize(rows.float(), dim=1), torch.from_numpy(families)
    pairs, likeness = [], []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        cosines = (rows[block] @ rows.T).masked_fill(of[block, None] == of[None], -2.0)
        values, nearest = cosines.topk(min(_NEAREST, len(rows)), dim=1)
        here = torch.arange(start, start + len(nearest))[:, None].expand_as(nearest)
        real = values > -2.0
        pairs.append(torch.stack([here[real], nearest[real]], 1))
        likeness.append(values[real])
    order = torch.cat(likeness).argsort(descending=True, stable=True)[: _MOST_PAIRS // 2]
    chosen = torch.cat(pairs)[order]
    both: IntArray = torch.unique(torch.cat([chosen, chosen.flip(1)]), dim=0).numpy()
    return both


def _by_inner(pairs: IntArray) -> Iterator[tuple[int, list[int]]]:
    """Of pairs that are sorted."""
    inners, starts = np.unique(pairs[:, 0], return_index=True)
    for inner, outers in zip(inners.tolist(), np.split(pairs[:, 1], starts)[1:], strict=True):
        yield inner, outers.tolist()

"""Speckle as a scanner makes it: scatterers, point spread function, envelope, log compression.

Linear convolution model: Bamber and Dickinson 1980, Physics in Medicine and Biology 25. Rayleigh envelope of fully
developed speckle: Wagner, Smith, Sandrik and Lopez 1983, IEEE Transactions on Sonics and Ultrasonics 30(3).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def decibels_to_amplitude(decibels: FloatArray) -> FloatArray:
    """Amplitude ratio of a level in decibels: 10^(dB / 20)."""
    return np.asarray(np.exp(decibels * np.float32(np.log(10.0) / 20.0)), dtype=np.float32)


def complex_gaussian(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Circular complex Gaussian noise of mean power 1: real and imaginary part, (2, *shape), float32."""
    parts = rng.standard_normal((2, *shape), dtype=np.float32)
    return np.asarray(parts * np.float32(np.sqrt(0.5)), dtype=np.float32)


def speckle(echo_db: FloatArray, rng: np.random.Generator, *, axial_sigma: float, lateral_sigma: float) -> FloatArray:
    """Echo signal of fully developed speckle: Gaussian scatterers, weighted, filtered by the point spread function.

    Args:
        echo_db: Echogenicity minus attenuation, decibels, (H, W), float32.
        axial_sigma, lateral_sigma: Of the Gaussian point spread function, pixels, along rows and columns.
    Returns:
        Real and imaginary part, (2, H, W), float32. Where `echo_db` is 0 the mean power is 1 and the envelope is
        Rayleigh distributed, its mean over its standard deviation sqrt(pi / (4 - pi)) = 1.91 (Wagner et al. 1983).
    """
    height, width = echo_db.shape
    scatterers = complex_gaussian((height, width), rng) * decibels_to_amplitude(echo_db)
    filtered = blur_matrix(height, axial_sigma) @ scatterers @ blur_matrix(width, lateral_sigma).T
    return np.asarray(filtered, dtype=np.float32)


def envelope_of(field: FloatArray) -> FloatArray:
    """Amplitude of a complex signal, from its real and imaginary part: (2, H, W) -> (H, W)."""
    return np.asarray(np.sqrt(np.square(field[0]) + np.square(field[1])), dtype=np.float32)


def blur_matrix(length: int, sigma: float) -> FloatArray:
    """Gaussian filter as a matrix whose rows have unit energy, so white noise keeps its power.

    Multiplying by it costs less than an FFT at these sizes: 224 x 224 in 0.3 ms.

    Returns:
        (length, length), float32; `matrix @ signal` filters a signal of shape (length, ...).
    """
    offsets = _offsets(length)  # (length, length), squared distances
    kernel = np.exp(offsets * np.float32(-0.5 / sigma**2))
    return np.asarray(kernel / np.sqrt((kernel**2).sum(axis=1, keepdims=True)), dtype=np.float32)


@lru_cache(maxsize=4)
def _offsets(length: int) -> FloatArray:
    position = np.arange(length, dtype=np.float32)
    return (position[:, None] - position[None, :]) ** 2


def log_compress(envelope: FloatArray, *, white_db: float, dynamic_range_db: float) -> NDArray[np.uint8]:
    """Map an envelope to grey levels: `white_db` to 255, `dynamic_range_db` below that to 0, linear in decibels.

    Args:
        envelope: (H, W), float, >= 0; amplitude 1 is 0 dB.
        dynamic_range_db: > 0.
    Returns:
        (H, W), uint8: 255 * (1 + (20 log10(envelope) - white_db) / dynamic_range_db), clipped and rounded.
    """
    level_db = 20.0 * np.log10(np.maximum(envelope, np.float32(1e-10)))  # -200 dB stands for silence
    level = 1.0 + (level_db - np.float32(white_db)) * np.float32(1.0 / dynamic_range_db)
    return np.asarray(np.rint(np.clip(level, 0.0, 1.0) * 255.0), dtype=np.uint8)

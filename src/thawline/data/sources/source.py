"""What every data source offers: labelled images, addressed by index."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.decode import Pixels

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class ImageSource(Protocol):
    """Labelled images.

    Attributes:
        name: Short name for tables and run records.
        class_names: One name per class, (K,); `labels` index into it.
        labels: Class index per image, (N,), int64, in [0, K).
        groups: Group per image, (N,), int64; images of one group never land in different splits.
        splits: Index arrays of the splits that the source defines. Thawline makes those that are missing.
    """

    name: str
    class_names: Sequence[str]
    labels: IntArray
    groups: IntArray
    splits: Mapping[Split, IntArray]

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, uint8, any size. Deterministic; safe in worker processes."""
        ...

    def describe(self, index: int) -> str:
        """Return the origin of image `index`: a path, or the rule and the numbers that make it."""
        ...

    def fingerprint(self) -> str:
        """Return a hex digest that changes when any image, label or defined split changes."""
        ...


def decodes_reduced(source: ImageSource) -> bool:
    """Whether the source reads image files, and follows its attribute `pixels` in that."""
    return isinstance(getattr(source, "pixels", None), Pixels)


def training_weights(source: ImageSource, images: IntArray) -> FloatArray | None:
    """How much each of these images counts in training, (n,), float64, > 0; None where the source has no `weights`."""
    weights: FloatArray | None = getattr(source, "weights", None)
    return None if weights is None else weights[images]


def reduced(source: ImageSource, shorter: int | None) -> ImageSource:
    """The source, with large JPEGs decoded as `Pixels.shorter` says; as it is, where it does not follow `pixels`."""
    if not decodes_reduced(source):
        return source
    less = copy.copy(source)
    less.pixels = replace(less.pixels, shorter=shorter)  # type: ignore[attr-defined]
    return less

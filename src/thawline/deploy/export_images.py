"""The images that an exported model is checked on, and calibrated with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Heights and widths of the made-up images: square, wide, high, small, and larger than most inputs.
_SIZES = ((64, 64), (120, 160), (200, 150), (33, 47), (300, 400), (256, 256), (90, 250))
_COARSE = 8  # cells along a side, from which a made-up image is drawn smoothly


@dataclass(frozen=True)
class Images:
    """Images by index; none is read before it is asked for.

    Attributes:
        load: Index -> PIL image, RGB.
        number: How many there are.
        labels: Class indices; None where they are not known.
        what: What they are, for people: `60 test images of pc`.
    """

    load: Callable[[int], Image.Image]
    number: int
    labels: Sequence[int] | None
    what: str


def made_up(why: str) -> Images:
    """A few smooth random images, where there are no others.

    Args:
        why: What is wrong with the run's images.
    """
    return Images(_smooth, len(_SIZES), None, f"{len(_SIZES)} made-up images ({why})")


def _smooth(index: int) -> Image.Image:
    height, width = _SIZES[index]
    cells = np.random.default_rng(index).integers(0, 256, (_COARSE, _COARSE, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)

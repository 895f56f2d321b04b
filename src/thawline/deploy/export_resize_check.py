"""Whether the resize in a graph makes the levels that Pillow makes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from thawline.deploy.export_resize import PillowResize

# Levels of 255, in the mean over all pixels. Measured on photographs: 0.003 at most, and 0.16 where they are more than
# twice as high as wide, as Pillow resizes those in another order. Bilinear in place of bicubic gave 0.2 to 8, a quarter
# of a pixel beside 0.9 to 8.
LARGEST_MEAN = 0.2


@dataclass(frozen=True)
class Levels:
    """Levels of resized images beside Pillow's.

    Attributes:
        mean, largest: Difference of a level, from 0 to 255.
    """

    mean: float
    largest: float

    @property
    def good(self) -> bool:
        return self.mean <= LARGEST_MEAN

    def __str__(self) -> str:
        return (
            f"levels differ by {self.mean:.3f} of 255 in the mean ({LARGEST_MEAN} allowed), {self.largest:.0f} at most"
        )


@torch.inference_mode()
def compared_levels(resize: PillowResize, images: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Levels:
    """Of one image after another: as it is, (H, W, 3), and as Pillow resized it, (S, S, 3)."""
    total = largest = 0.0
    number = 0
    for image, wanted in images:
        got = resize(torch.from_numpy(image).permute(2, 0, 1)[None].float())[0]  # (3, S, S)
        differences = (got - torch.from_numpy(wanted).permute(2, 0, 1).float()).abs()
        total += float(differences.sum())
        number += differences.numel()
        largest = max(largest, float(differences.max()))
    return Levels(total / max(number, 1), largest)

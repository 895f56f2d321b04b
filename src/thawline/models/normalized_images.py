"""Check images and normalise them for a model."""

import torch
from torch import Tensor

from thawline.errors import UserError
from thawline.machine.decisions import memory_format

_EXPECTED = "images are (B, 3, H, W), uint8 from 0 to 255 or float from 0 to 1"
_WAYS_OUT = (
    "divide by 255, or give uint8; images that are normalised already go to TransferClassifier.logits(x, start=0)"
)


def normalized(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images less the mean, divided by the standard deviation; float32, in the device's layout.

    Args:
        images: (B, 3, H, W), uint8, or floating point in [0, 1]: u / 255 gives what u gives, within rounding.
        mean, std: (1, 3, 1, 1), of images in [0, 1].
    Raises:
        UserError: Another shape, type or range.
    """
    layout = memory_format(images.device.type)
    if images.dtype == torch.uint8:
        scaled = images.to(torch.float32, memory_format=layout).div_(255.0)
        return scaled.sub_(mean).div_(std)
    check_float_images(images)
    scaled = images.to(torch.float32, memory_format=layout)  # may be the caller's tensor, so no `sub_`
    return scaled.sub(mean).div_(std)


def check_float_images(images: Tensor) -> None:
    """Raise `UserError` unless these are floating-point images (B, 3, H, W) in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise UserError(f"a batch of shape {tuple(images.shape)}: {_EXPECTED}")
    if not images.is_floating_point():
        raise UserError(f"images of type {images.dtype}: {_EXPECTED}; convert with images.to(torch.uint8)")
    low, high = (float(edge) for edge in images.aminmax()) if images.numel() else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):  # true for NaN too
        raise UserError(f"float images from {low:g} to {high:g}: {_EXPECTED}; {_WAYS_OUT}")

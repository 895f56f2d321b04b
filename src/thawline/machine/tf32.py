"""CUDA's TF32, on or off for all of torch, and what rounding depends on now.

Set by torch's older names: with the newer ones (`fp32_precision`, from 2.9 on) `get_float32_matmul_precision` raises,
which Lightning and inductor call. Tried with torch 2.14.1; the older names set both.
"""

import contextlib
from collections.abc import Iterator

import torch

from thawline.machine.decisions import rounding
from thawline.machine.device import described

_FP32, _TF32 = "highest", "high"  # torch's names of the precision of products


def set_tf32(on: bool) -> None:
    """For matrix products and convolutions; by torch's default it is on for convolutions alone."""
    torch.set_float32_matmul_precision(_TF32 if on else _FP32)
    torch.backends.cudnn.allow_tf32 = on


@contextlib.contextmanager
def tf32_restored() -> Iterator[None]:
    """After the block torch computes as before: a notebook, or the next job of the process, expects it."""
    try:
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # set by the newer names; what is set stays
        before = None
    try:
        yield
    finally:
        if before is not None and before != (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32):
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]


def tf32_in_use() -> str:
    """Where TF32 is on: `products`, `convolutions`, both, or `off`."""
    places = {
        "products": torch.get_float32_matmul_precision() != _FP32,
        "convolutions": torch.backends.cudnn.allow_tf32,
    }
    return " and ".join(place for place, on in places.items() if on) or "off"


def rounding_now(device: torch.device) -> str:
    """`rounding` of a real device, with torch as it is set now."""
    return rounding(described(device), tf32=tf32_in_use())

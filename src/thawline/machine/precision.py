"""The number formats of the frozen prefix and of the training part."""

from dataclasses import dataclass

import torch

from thawline.errors import UserError
from thawline.settings.trainer_settings import PRECISIONS


@dataclass(frozen=True)
class Precision:
    """`prefix`: type of the frozen stages' arithmetic. `trainer`: Lightning's name for that of the training part."""

    prefix: torch.dtype
    trainer: str

    @property
    def training(self) -> torch.dtype:
        """Type of the training part's arithmetic."""
        return torch.float32 if self.trainer == "32-true" else torch.bfloat16


def choose_precision(setting: str, device: torch.device) -> Precision:
    """Resolve `trainer.precision`.

    `auto` takes bf16 if the hardware computes in it; weights, optimizer and head stay in fp32. On a CPU the backward
    pass of depthwise convolutions stays in fp32 too, because it is slower in bf16 (`models/depthwise.py`).
    """
    if setting not in PRECISIONS:
        raise UserError(f"trainer.precision={setting}: allowed are {', '.join(PRECISIONS)}")
    if setting == "bf16-mixed":
        return Precision(torch.bfloat16, setting)
    if setting == "32-true" or not has_fast_bf16(device):
        return Precision(torch.float32, "32-true")
    return Precision(torch.bfloat16, "bf16-mixed")


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Compute in `dtype` inside the block; for fp32 autocast is off, even inside another autocast block."""
    low = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if low else torch.bfloat16, enabled=low)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 numbers in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())

"""In which number format the frozen prefix and the training part compute."""

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


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Resolve `trainer.precision`.

    `auto` takes bf16 where the hardware computes in it, with weights, optimizer and head in fp32. On a CPU the
    backward pass of depthwise convolutions stays in fp32 (`models/depthwise.py`): it would be slower in bf16.
    """
    if wanted not in PRECISIONS:
        raise UserError(f"trainer.precision={wanted}: allowed are {', '.join(PRECISIONS)}")
    if wanted == "bf16-mixed":
        return Precision(torch.bfloat16, wanted)
    if wanted == "32-true" or not has_fast_bf16(device):
        return Precision(torch.float32, "32-true")
    return Precision(torch.bfloat16, "bf16-mixed")


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Compute in `dtype`; in fp32 nothing is cast, whatever surrounds the block."""
    low = dtype != torch.float32
    return torch.autocast(device.type, dtype=dtype if low else torch.bfloat16, enabled=low)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 numbers in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8  # Ampere and later
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())

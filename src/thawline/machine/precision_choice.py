"""Where the precision of a run is decided, from `trainer.precision` and the device. In plain functions."""

from thawline.errors import UserError
from thawline.machine.device import Device
from thawline.machine.number_formats import Precision
from thawline.settings.trainer_settings import PRECISIONS

_BF16_FROM = (8, 0)  # compute capability; Ampere multiplies bf16 and TF32 numbers, Turing and Volta emulate bf16
_FP16_FROM = (7, 0)  # Volta, the first with tensor cores; cards before it gain little or nothing from fp16


def precision_of(setting: str, device: Device) -> Precision:
    """Resolve `trainer.precision`.

    `auto` takes the shortest numbers that the device is fast with; weights, optimizer and head stay in fp32. On a CPU
    the backward pass of depthwise convolutions stays in fp32 too, because it is slower in bf16 (`models/depthwise.py`).
    On Apple's GPU it is fp32 for now: half precision was never tried here, and others report NaN on older systems and
    a loss of speed on newer ones.

    Raises:
        UserError: The device cannot compute so, or only by emulating it.
    """
    if setting not in PRECISIONS:
        raise UserError(f"trainer.precision={setting}: allowed are {', '.join(PRECISIONS)}")
    if setting == "auto":
        return Precision(_shortest_fast(device))
    if (why := _why_refused(setting, device)) is not None:
        raise UserError(f"trainer.precision={setting}: {why}; use auto or 32-true")
    return Precision(setting)


def _shortest_fast(device: Device) -> str:
    if device.kind == "cuda":
        capability = device.capability or (0, 0)
        return "bf16-mixed" if capability >= _BF16_FROM else "16-mixed" if capability >= _FP16_FROM else "32-true"
    return "bf16-mixed" if device.kind == "cpu" and device.avx512_bf16 else "32-true"


def _why_refused(setting: str, device: Device) -> str | None:
    if setting == "16-mixed" and device.kind == "cpu":
        return "a CPU has no fast fp16, and Lightning would compute in bf16 instead"
    if setting != "32-true" and device.kind == "mps":
        return "half precision has not been checked on Apple's GPU"
    if setting == "bf16-mixed" and device.kind == "cuda" and (device.capability or (0, 0)) < _BF16_FROM:
        return f"{device.name} has no bf16 arithmetic; it would be emulated, which is slower than fp32"
    return None


def precision_note(precision: Precision, device: Device) -> str | None:
    """What is worth saying of a precision that is allowed."""
    if precision.trainer == "bf16-mixed" and device.kind == "cpu" and not device.avx512_bf16:
        return "trainer.precision=bf16-mixed: this CPU has no bf16 arithmetic, so 32-true is faster"
    return None


def uses_tf32(precision: Precision, device: Device) -> bool:
    """Whether CUDA rounds the factors of fp32 products to TF32's 10 bits; with `32-true` fp32 means fp32.

    In mixed precision it concerns what is left in fp32, such as the head.
    """
    return device.kind == "cuda" and (device.capability or (0, 0)) >= _BF16_FROM and precision.trainer != "32-true"

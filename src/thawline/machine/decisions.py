"""What the device decides besides the precision: layout, batches, workers, compiling. In plain functions.

docs/gpu.md shows their answers for some devices; a test holds that table equal to them.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch

from thawline.machine.device import Device
from thawline.machine.precision_choice import precision_of, uses_tf32

_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")
_TRITON_FROM = (7, 0)  # what torch.compile needs to make code for a GPU
# Measured at 224 in bf16 on 2 AVX512-bf16 cores. Fused convolutions leave nothing to a compiler: EfficientNet-Lite0 has
# 303 images/s fused and 296 compiled. Other backbones are compiled from this many images on: ViT-Tiny gains 14 %
# (90 to 102 images/s) after 21 s, ConvNeXt-Atto 26 % (168 to 211) after 13 s, repaid by 15,000 and 11,000 images.
_PASS_IMAGES = 15_000
# Chosen, not measured: compiling for a GPU takes a minute or two, and may save a third of the time afterwards.
_GPU_IMAGES = 300_000
# Chosen: where the model computes on the cores too, a worker makes it wait. On 2 cores, full fine-tuning ran at 22
# images/s without workers and 17 with two; training the head only, at 80 to 100 either way.
_CORES_PER_CPU_WORKER = 4
# Chosen: on a CPU and on Apple's GPU. There a worker is a new process that imports PyTorch, and the GPU is slower.
_MOST_WORKERS = 8


def has_code_for(device: Device, built_for: Sequence[str]) -> bool:
    """Whether a build of PyTorch holds code that this GPU runs.

    Code for 8.0 (`sm_80`) runs on 8.0 and on later cards of the same major number; PTX (`compute_80`) is compiled when
    it is loaded, for any later card; code with a letter (`sm_90a`) runs on that card alone. CUDA C++ programming guide,
    "Application compatibility".

    Args:
        built_for: `torch.cuda.get_arch_list()`; other names than these, as of AMD's cards, are not judged.
    """
    found = [match for name in built_for if (match := _ARCHITECTURE.fullmatch(name))]
    if device.capability is None or not found:
        return True
    return any(_runs(device.capability, *match.groups()) for match in found)


def _runs(capability: tuple[int, int], kind: str, major: str, minor: str, letter: str) -> bool:
    of_code = int(major), int(minor)
    if letter == "a":
        return capability == of_code
    return of_code <= capability and (kind == "compute" or of_code[0] == capability[0])


def memory_format(kind: str) -> torch.memory_format:
    """Layout of images, activations and weights: channels last, which convolutions are fast with.

    Not on Apple's GPU: there torch had wrong results (issue 180984), a crash in BatchNorm's backward pass (pull request
    188371) and a convolution that is 30 times slower (issue 193349), all in this layout and all in 2026.
    """
    return torch.contiguous_format if kind == "mps" else torch.channels_last


def pins_memory(kind: str) -> bool:
    """Whether batches lie in page-locked memory, from which CUDA copies while it computes."""
    return kind == "cuda"


def num_workers(kind: str, cores: int) -> int:
    """Processes that load images for one process that trains on `cores` cores."""
    if kind == "cpu":
        return min(cores // _CORES_PER_CPU_WORKER, _MOST_WORKERS)
    return cores if kind == "cuda" else min(cores, _MOST_WORKERS)


def pass_batch(kind: str) -> int:
    """Images that go through the frozen stages together in the pass that stores what they give.

    On CPUs larger batches are no faster. With 64 an H100 waits for Python: EfficientNet-Lite0 at 224 has 13,500
    images/s, and 19,100 with 256 (docs/gpu.md). Where the memory does not hold them, they are halved.
    """
    return 256 if kind == "cuda" else 64


def fuses_convolutions(dtype: torch.dtype, kind: str) -> bool:
    """Whether frozen stages have BatchNorm and activation inside their convolutions: oneDNN does that, in bf16."""
    return kind == "cpu" and dtype == torch.bfloat16


def compiles_pass(setting: Any, kind: str, *, num_images: int) -> bool:
    """Whether the pass over the images that frozen stages make once is compiled, where nothing is fused; fp32 never is.

    `auto` never does so on a GPU: compiling takes about a minute, and the pass, which waits for decoded images, ends
    within seconds. With True it is compiled there too, from as many images on as on a CPU.

    Args:
        setting: `compile`: True, False or "auto".
    """
    return num_images >= _PASS_IMAGES and (setting is True or (setting == "auto" and kind == "cpu"))


def compiles_training(setting: Any, device: Device, *, num_images: int) -> bool:
    """Resolve the setting `compile` for the part of the model that trains.

    `auto` compiles for CUDA if the training has enough images to repay it, and never for a CPU. There, after a minute
    of compiling, a step was 3 to 25 % slower than eager (measured with EfficientNet-Lite0, ResNet-18 and ViT-Tiny in
    bf16 on 2 AVX512-bf16 cores, torch 2.14).

    Args:
        setting: True, False, or "auto".
        num_images: Training images over the whole run; an image counts once for each epoch.
    """
    if setting != "auto":
        return bool(setting)
    return device.kind == "cuda" and (device.capability or (0, 0)) >= _TRITON_FROM and num_images >= _GPU_IMAGES


def rounding(device: Device, *, tf32: str) -> str:
    """What the rounding of a result depends on besides type and mode; part of a store's key.

    Args:
        tf32: Where TF32 is on, from `tf32_in_use`.
    """
    if device.capability is None:
        return device.kind
    return f"{device.kind} {device.capability[0]}.{device.capability[1]}, tf32 {tf32}"


def decided(device: Device) -> dict[str, str]:
    """Every decision with `auto` everywhere, in words; for `doctor` and for docs/gpu.md."""
    precision = precision_of("auto", device)
    passes = precision.prefix != torch.float32 and compiles_pass("auto", device.kind, num_images=_PASS_IMAGES)
    return {
        "trainer.precision": precision.trainer,
        "frozen stages": str(precision.prefix).removeprefix("torch."),
        "loss scaler": _yes(precision.scales_loss),
        "TF32": _yes(uses_tf32(precision, device)),
        "channels last": _yes(memory_format(device.kind) == torch.channels_last),
        "fused convolutions": _yes(fuses_convolutions(precision.prefix, device.kind)),
        "pinned memory": _yes(pins_memory(device.kind)),
        "batch of the pass": str(pass_batch(device.kind)),
        "workers": str(num_workers(device.kind, device.cores)),
        "compiles the pass": _from(_PASS_IMAGES, passes),
        "compiles training": _from(_GPU_IMAGES, compiles_training("auto", device, num_images=_GPU_IMAGES)),
    }


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _from(num_images: int, answer: bool) -> str:
    return f"from {num_images:,} images" if answer else "no"

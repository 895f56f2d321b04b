"""The device of a run, described: what `precision_choice.py` and `decisions.py` decide from."""

import functools
import subprocess
from dataclasses import dataclass
from typing import Literal

import torch

from thawline.errors import UserError
from thawline.machine.processes import num_cores, this_process
from thawline.settings.trainer_settings import ACCELERATORS

Kind = Literal["cpu", "cuda", "mps"]
_NAME_S = 5.0  # seconds to wait for macOS to tell the chip's name; it takes milliseconds


@dataclass(frozen=True)
class Device:
    """A device and what it can do.

    Attributes:
        name: For the record, such as `NVIDIA H100 80GB HBM3`; `cpu` of a CPU.
        cores: CPU cores that this process may use.
        capability: CUDA's compute capability, such as (8, 0); None on other devices.
        memory_bytes: Of the GPU; None on a CPU, which has the host's.
        avx512_bf16: Whether the CPU multiplies bf16 numbers.
    """

    kind: Kind
    name: str
    cores: int
    capability: tuple[int, int] | None = None
    memory_bytes: int | None = None
    avx512_bf16: bool = False

    @property
    def torch(self) -> torch.device:
        return torch.device(self.kind)

    @property
    def title(self) -> str:
        """In a message to the user."""
        return "this CPU" if self.kind == "cpu" else self.name


def this_device(accelerator: str = "auto", *, key: str = "trainer.accelerator") -> Device:
    """The device that `trainer.accelerator` names: with `auto` CUDA, else Apple's GPU, else the CPU.

    Args:
        key: What the user calls it, for errors.
    Raises:
        UserError: It is none of the allowed values, or there is no such device.
    """
    if accelerator not in ACCELERATORS:
        raise UserError(f"{key}={accelerator}: allowed are {', '.join(ACCELERATORS)}")
    kind = _kind(accelerator)
    if kind is None:
        raise UserError(
            f"{key}={accelerator}: PyTorch {torch.__version__} finds no such device here; use {key}=auto or cpu"
        )
    return described(torch.device(kind))


def devices_here(accelerator: str) -> int:
    """What `trainer.devices=auto` stands for: as many processes as torchrun or srun started here, else as many GPUs.

    A CPU is one device, and so is Apple's GPU.
    """
    place = this_process()
    if place.outside and place.here is not None:
        return place.here
    return torch.cuda.device_count() if _kind(accelerator) == "cuda" else 1


def described(device: torch.device) -> Device:
    """What a real device can do."""
    cores = num_cores()
    if device.type == "cuda":
        of = torch.cuda.get_device_properties(device)
        return Device("cuda", of.name, cores, capability=(of.major, of.minor), memory_bytes=of.total_memory)
    if device.type == "mps":
        return Device("mps", _apple_name(), cores, memory_bytes=int(torch.mps.recommended_max_memory()))
    return Device("cpu", "cpu", cores, avx512_bf16=bool(torch.cpu._is_avx512_bf16_supported()))


def _kind(accelerator: str) -> Kind | None:
    there: list[Kind] = []
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    wanted = {"auto": (*there, "cpu"), "gpu": tuple(there), "mps": [kind for kind in there if kind == "mps"]}
    kinds = wanted.get(accelerator, ("cpu",))
    return kinds[0] if kinds else None


@functools.cache
def _apple_name() -> str:
    try:
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        said = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=_NAME_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        said = ""
    return said.strip() or "Apple GPU"

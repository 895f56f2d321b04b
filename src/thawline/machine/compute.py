"""The device and the number formats of a run: decided once, and passed to all that computes."""

from dataclasses import dataclass

import torch

from thawline.errors import UserError
from thawline.machine.decisions import has_code_for
from thawline.machine.device import Device, this_device
from thawline.machine.number_formats import Precision
from thawline.machine.precision_choice import precision_of, uses_tf32
from thawline.machine.tf32 import set_tf32


@dataclass(frozen=True)
class Compute:
    """A device, and the number formats on it."""

    described: Device
    precision: Precision

    @property
    def device(self) -> torch.device:
        return self.described.torch

    @property
    def on_cpu(self) -> bool:
        return self.described.kind == "cpu"

    @property
    def tf32(self) -> bool | None:
        """Whether fp32 products are TF32; None where there is no such choice."""
        return uses_tf32(self.precision, self.described) if self.described.kind == "cuda" else None

    def set_up(self) -> None:
        """Make torch compute so, in all of this process."""
        if self.tf32 is not None:
            set_tf32(self.tf32)


def choose_compute(*, accelerator: str, precision: str, key: str = "trainer.accelerator") -> Compute:
    """Resolve `trainer.accelerator` and `trainer.precision`.

    Args:
        key: What the user calls the accelerator, for errors.
    Raises:
        UserError: There is no such device, this PyTorch has no code for it, or it does not compute in this precision.
    """
    device = this_device(accelerator, key=key)
    built_for = torch.cuda.get_arch_list() if device.kind == "cuda" else []
    if not has_code_for(device, built_for):
        major, minor = device.capability or (0, 0)
        raise UserError(
            f"{key}={accelerator}: {device.name} has compute capability {major}.{minor}, and PyTorch "
            f"{torch.__version__} is built for {', '.join(built_for)}; use {key}=cpu, or install a PyTorch that has "
            f"sm_{major}{minor}"
        )
    return Compute(device, precision_of(precision, device))

"""Where a run computes and in which number format: decided once, then handed on as one object."""

from dataclasses import dataclass

import torch

from thawline.machine.device import choose_device
from thawline.machine.precision import Precision, choose_precision


@dataclass(frozen=True)
class Compute:
    """A device, and the number formats on it."""

    device: torch.device
    precision: Precision

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def device_name(self) -> str:
        """As the run record names it."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"


def choose_compute(*, accelerator: str, precision: str) -> Compute:
    """Resolve `trainer.accelerator` and `trainer.precision`."""
    device = choose_device(accelerator)
    return Compute(device, choose_precision(precision, device))

"""The device and the number formats of a run."""

from dataclasses import dataclass

import torch

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
        """The device's name in the run record."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"


def choose_compute(*, accelerator: str, precision: str) -> Compute:
    """Resolve `trainer.accelerator` and `trainer.precision`: the GPU, unless `cpu` is set or there is none."""
    device = torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")
    return Compute(device, choose_precision(precision, device))

"""Where a model computes."""

import torch


def choose_device(accelerator: str) -> torch.device:
    """Resolve `trainer.accelerator`: the GPU, unless it says `cpu` or there is none."""
    return torch.device("cpu" if accelerator == "cpu" or not torch.cuda.is_available() else "cuda")

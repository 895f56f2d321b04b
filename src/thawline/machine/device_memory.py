"""The memory that a budget counts: the host's on a CPU, the device's own on a GPU."""

import contextlib
import math
from collections.abc import Iterator

import torch

from thawline.errors import UserError
from thawline.machine.memory import peak_resident_bytes

_WORDS = ("out of memory", "can't allocate memory", "not enough memory")  # of CUDA, Apple's GPU and the CPU


def held_bytes(device: torch.device) -> int:
    """What this process holds: on a GPU in tensors, on a CPU the peak of the process."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(torch.mps.current_allocated_memory()) if device.type == "mps" else peak_resident_bytes()


def free_bytes(device: torch.device) -> float:
    """What a GPU has left; no bound on a CPU, where `budget.memory_gb` alone bounds."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by PyTorch, to be used again
        return float(free + kept)
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return math.inf


def allowed_bytes(memory_gb: float | None, *, held: int, free: float) -> float:
    """What a step may take besides what is held: the rest of `budget.memory_gb`, and no more than is free.

    Args:
        memory_gb: None is no bound.
    """
    return free if memory_gb is None else min(free, 1e9 * memory_gb - held)


def is_lack_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the host, had too little memory; `torch.OutOfMemoryError` is CUDA's alone."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _WORDS)


@contextlib.contextmanager
def lack_of_memory_explained(what: str, device: torch.device, *, next_step: str) -> Iterator[None]:
    """Make an error for lack of memory one line.

    Args:
        what: What was computed: the model and the size of its batches.
    Raises:
        UserError: There was too little memory inside the block.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not is_lack_of_memory(error):
            raise
        where = "this machine's memory" if device.type == "cpu" else "the GPU's memory"
        raise UserError(f"{what} does not fit in {where}; {next_step}") from error

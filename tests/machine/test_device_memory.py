"""A budget of memory counts the memory of the device; too little of it is one line."""

import math

import pytest
import torch

from thawline.errors import UserError
from thawline.machine.device_memory import allowed_bytes, free_bytes, held_bytes, lack_of_memory_explained

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_a_gpus_budget_leaves_the_hosts_memory_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10**9)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 10**9)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 * 10**9, 16 * 10**9))
    assert held_bytes(GPU) == 10**9
    assert free_bytes(GPU) == 7e9  # what no process has, and what PyTorch keeps to use again
    assert held_bytes(CPU) > 10**8  # torch alone takes so much of the host's
    assert free_bytes(CPU) == math.inf


@pytest.mark.parametrize(
    ("memory_gb", "held", "free", "expected"),
    [(None, 10**9, math.inf, math.inf), (4.0, 10**9, math.inf, 3e9), (None, 0, 7e9, 7e9), (40.0, 10**9, 7e9, 7e9)],
)
def test_a_step_may_take_the_rest_and_no_more_than_is_free(
    memory_gb: float | None, held: int, free: float, expected: float
) -> None:
    assert allowed_bytes(memory_gb, held=held, free=free) == expected


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.1 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes."),
    ],
)
def test_too_little_memory_is_one_line(error: RuntimeError) -> None:
    expected = r"^vit in batches of 32 does not fit in the GPU's memory; buy more$"
    with (
        pytest.raises(UserError, match=expected),
        lack_of_memory_explained("vit in batches of 32", GPU, next_step="buy more"),
    ):
        raise error


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes$"), lack_of_memory_explained("vit", CPU, next_step=""):
        raise RuntimeError("shapes")

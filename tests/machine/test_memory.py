"""Freed memory stays in the process where glibc allows it."""

import subprocess
import sys

import pytest
import torch

from thawline.machine.memory import peak_resident_bytes, start_counting_peak

# Allocates and frees 64 MB many times and prints the page faults that took; 64 MB are 16,384 pages.
PROGRAM = """
import resource, torch
from thawline.machine.memory import keep_freed_memory
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):  # the heap grows to what the program needs
    torch.ones(16_000_000)
before = faults()
for _ in range(20):
    torch.ones(16_000_000)
print(faults() - before)
"""


def faults(call: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_peak_of_a_job_is_not_that_of_the_job_before() -> None:
    start_counting_peak()
    large = torch.ones(100_000_000)  # 400 MB
    before = peak_resident_bytes()
    del large
    assert start_counting_peak() == (sys.platform == "linux")
    assert peak_resident_bytes() < before - 300e6


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_memory_is_not_fetched_from_the_kernel_again() -> None:
    without = faults("")
    assert without > 20 * 16  # 64 MB are 32 huge pages of 2 MB, or 16,384 small ones: fetched every time
    assert faults("assert keep_freed_memory()") < without / 10

"""Energy from the hardware's counters: of the GPU, or on Linux of the processor packages if this user may read them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

_POWERCAP = Path("/sys/class/powercap")  # kernel.org, power/powercap; packages are intel-rapl:0, also on AMD


@dataclass(frozen=True)
class Counter:
    """A counter of joules that starts over at `span`. It counts everything that runs on its hardware."""

    read: Callable[[], float]
    span: float = math.inf


class EnergyMeter:
    """Counts joules since it was made. `joules` must be called at least once in every span of the counters."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = counters
        self._last = [counter.read() for counter in counters]
        self._joules = 0.0

    def joules(self) -> float | None:
        """The joules so far; None without a counter."""
        now = [counter.read() for counter in self._counters]
        self._joules += sum((n - b) % c.span for n, b, c in zip(now, self._last, self._counters, strict=True))
        self._last = now
        return self._joules if self._counters else None


def counters_of(device: torch.device, *, powercap: Path = _POWERCAP) -> list[Counter]:
    """The counter of an NVIDIA GPU, if the package `nvidia-ml-py` is installed; on a CPU those of its packages."""
    return _of_gpu(device) if device.type == "cuda" else _of_packages(powercap)


def _of_packages(powercap: Path) -> list[Counter]:
    counters = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        if zone.name.count(":") > 1:  # a part of a package, whose counter includes it
            continue
        try:
            _joules(zone / "energy_uj")  # often only root may read it
            span = _joules(zone / "max_energy_range_uj")
        except (OSError, ValueError):
            return []
        counters.append(Counter(partial(_joules, zone / "energy_uj"), span))
    return counters


def _joules(path: Path) -> float:
    return int(path.read_text(encoding="utf-8")) / 1e6


def _of_gpu(device: torch.device) -> list[Counter]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)  # millijoules since the driver was loaded; from Volta on
    except pynvml.NVMLError:
        return []
    return [Counter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)]

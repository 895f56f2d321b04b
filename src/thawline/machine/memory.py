"""Memory on a CPU: keep what was freed, measure the peak of one job, and what the machine has left."""

import ctypes
import gc
import os
import re
import sys
from pathlib import Path
from typing import Any

from thawline.machine.kernel_text import kernel_text

# Parameters of glibc's mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_TOP_PAD_BYTES = 256 * 1024**2  # chosen: glibc requests memory in steps of this size
_RESET_PEAK = "5"  # written to /proc/self/clear_refs; proc(5)


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed memory instead of returning it to the system.

    Activations are allocated and freed at every step. By default glibc maps each large one anew, and the kernel clears
    its pages every time. Measured with EfficientNet-Lite0 at 224 on 2 cores, this halves the speed of the forward pass
    and of training (docs/speed.md). With this setting the process keeps its peak memory until it ends.

    Returns:
        Whether it took effect: only on Linux with glibc.
    """
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: _TOP_PAD_BYTES}
    mallopt = _glibc("mallopt")
    return mallopt is not None and all(mallopt(parameter, value) == 1 for parameter, value in settings.items())


def start_counting_peak() -> bool:
    """Return kept memory to the system and reset the peak, so that a job does not report the peak of an earlier one.

    Returns:
        Whether it took effect: only on Linux with glibc. Elsewhere the peak is that of the whole process.
    """
    gc.collect()
    trim = _glibc("malloc_trim")
    if trim is None:
        return False
    trim(0)
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="utf-8")
    except OSError:  # a container may forbid it
        return False
    return True


def peak_resident_bytes() -> int:
    """Largest memory of this process in RAM since `start_counting_peak`, in bytes; 0 if it is not known."""
    if peak := re.search(r"VmHWM:\s*(\d+) kB", kernel_text(Path("/proc/self/status"))):
        return int(peak[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def resident_bytes() -> int:
    """Memory of this process in RAM now; 0 if it is not known."""
    now = re.search(r"VmRSS:\s*(\d+) kB", kernel_text(Path("/proc/self/status")))
    return int(now[1]) * 1024 if now else 0


def available_memory(*, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes available without swapping, within the limit of the container or batch job.

    All memory of the machine where free memory is not known (macOS); 0 where nothing is known.
    """
    available = re.search(r"MemAvailable:\s*(\d+) kB", kernel_text(proc / "meminfo"))
    return min([int(available[1]) * 1024 if available else _installed_memory(), *_cgroup_limits(proc, cgroups)])


def _cgroup_limits(proc: Path, cgroups: Path) -> list[int]:
    """Memory limits of the control groups around this process, in bytes; cgroups(7), version 2 and 1."""
    limits = []
    for line in kernel_text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        tree, name = (cgroups / "memory", "memory.limit_in_bytes") if controllers else (cgroups, "memory.max")
        group = tree / path.lstrip("/")  # in a container the path may be the host's; then only the tree's root exists
        limits += [kernel_text(folder / name).strip() for folder in (group, *group.parents)]
    return [int(limit) for limit in limits if limit.isdigit()]  # without a limit, version 2 says "max"


def _installed_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, or a system without these names
        return 0


def _glibc(function: str) -> Any:
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None

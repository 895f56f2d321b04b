"""The process's memory on a CPU: keep freed memory, and measure the peak of one job."""

import ctypes
import gc
import re
import sys
from pathlib import Path
from typing import Any

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
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:  # a container may forbid it
        return False
    return True


def peak_resident_bytes() -> int:
    """Largest memory of this process in RAM since `start_counting_peak`, in bytes; 0 if it is not known."""
    try:
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if peak:
            return int(peak[1]) * 1024
    except OSError:  # not Linux
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    kilobytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes


def _glibc(function: str) -> Any:
    return getattr(ctypes.CDLL(None), function, None) if sys.platform == "linux" else None

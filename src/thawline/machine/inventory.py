"""What a report of a problem needs to say of the machine: versions, devices, cores, memory, disks."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from thawline.machine.cpu_quota import quota_cores
from thawline.machine.decisions import decided
from thawline.machine.device import this_device
from thawline.machine.kernel_text import kernel_text
from thawline.machine.processes import num_cores

_LIBRARIES = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "hydra-core",
    "tensorboard",
    "numpy",
    "pillow",
    "scikit-learn",
)
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "TMPDIR")


def inventory(folders: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """(what, its value) line by line; nothing is measured, and nothing is sent anywhere.

    Args:
        folders: What they are for -> folders whose free space is told.
    """
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield "python", f"{platform.python_version()}, {_short(sys.executable)}"
    yield "libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    yield "device", _device()
    yield "decisions", ", ".join(f"{what}: {answer}" for what, answer in decided(this_device()).items())
    yield "cores", _cores()
    yield "threads", f"torch {torch.get_num_threads()}, between operations {torch.get_num_interop_threads()}"
    yield "environment", ", ".join(f"{k}={_short(v)}" for k in _VARIABLES if (v := os.environ.get(k))) or "-"
    yield "memory", _memory()
    places = {**folders, "temporary": Path(tempfile.gettempdir()), "shared memory": Path("/dev/shm")}
    for name, folder in places.items():
        yield name, f"{_short(str(folder))}: {_space(folder)}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _short(path: str) -> str:
    """The home folder names its user, who need not stand in a public report."""
    home = os.path.expanduser("~")
    return path.replace(home, "~", 1) if home not in ("~", "/") and path.startswith(home) else path


def _device() -> str:
    if torch.cuda.is_available():
        names = []
        for index in range(torch.cuda.device_count()):
            of = torch.cuda.get_device_properties(index)
            names.append(f"{of.name} ({of.total_memory / 1e9:.0f} GB, {of.major}.{of.minor})")
        return f"CUDA {torch.version.cuda}: {', '.join(names)}"
    device = this_device()
    return f"CPU ({torch.backends.cpu.get_cpu_capability()})" if device.kind == "cpu" else f"MPS: {device.name}"


def _cores() -> str:
    quota = quota_cores()
    paid = "no quota" if quota is None else f"quota {quota:g}"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{num_cores()} usable of {os.cpu_count()}, {paid}{load}"


def _memory() -> str:
    if not (lines := kernel_text(Path("/proc/meminfo")).splitlines()):  # not Linux
        return "unknown"
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest}
    return f"{kilobytes['MemAvailable'] / 1e6:.1f} GB free of {kilobytes['MemTotal'] / 1e6:.1f} GB"


def _space(folder: Path) -> str:
    there = next((part for part in (folder, *folder.parents) if part.is_dir()), None)
    if there is None:
        return "not there"
    free = f"{shutil.disk_usage(there).free / 1e9:.1f} GB free"
    return free if os.access(there, os.W_OK) else f"{free}, NOT writable"

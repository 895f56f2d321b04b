"""What a measurement ran on, as one line of JSON: python -m speed.machine."""

import json
import os
import platform
from importlib.metadata import version

import torch

_LIBRARIES = ("torch", "torchvision", "lightning", "timm")


def machine() -> dict[str, object]:
    """Device, cores, arithmetic and versions."""
    cuda = torch.cuda.is_available()
    return {
        "cuda": cuda,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "avx512_bf16": bool(torch.cpu._is_avx512_bf16_supported()),
        "versions": {**{name: version(name) for name in _LIBRARIES}, "Python": platform.python_version()},
    }


if __name__ == "__main__":
    print(json.dumps(machine()))

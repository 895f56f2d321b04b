"""What the kernel says in a file below /proc or /sys."""

from pathlib import Path


def kernel_text(path: Path) -> str:
    """Its text; empty where there is no such file: not Linux, or no such control group."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

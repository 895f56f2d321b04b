"""How often the kernel ended a process because memory was full: a job that it ends leaves no word."""

from pathlib import Path

# File -> the name of its count; the whole machine's, and the container's.
_COUNTS = {"proc/vmstat": "oom_kill", "sys/fs/cgroup/memory.events": "oom_kill"}


def oom_kills(root: Path = Path("/")) -> int:
    """The count since the machine, or the container, was started; 0 where it cannot be read.

    Args:
        root: Folder that `proc` and `sys` lie in.
    """
    total = 0
    for file, name in _COUNTS.items():
        try:
            lines = (root / file).read_text(encoding="utf-8").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.split()[:1] == [name])
        except (OSError, ValueError, IndexError):
            continue
    return total

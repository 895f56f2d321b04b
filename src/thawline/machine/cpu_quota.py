"""How many cores' worth of time a container may use: the CPU quota of its cgroups, which no affinity shows."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from thawline.machine.kernel_text import kernel_text

_V1_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # names below sys/fs/cgroup that distributions use


def quota_cores(root: Path = Path("/")) -> float | None:
    """Cores that the quota allows, such as 1.5; the smallest of this process's cgroups and of those above them.

    Reads version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`). In a container the path that `proc/self/cgroup`
    names may be the host's, and not be visible; what is mounted counts then.

    Args:
        root: Folder that `proc` and `sys` lie in.
    Returns:
        None where nothing limits.
    Source: kernel.org, admin-guide/cgroup-v2 and scheduler/sched-bwc.
    """
    limits = [limit for folder in _folders(root) if (limit := _limit_of(folder)) is not None]
    return min(limits, default=None)


def _folders(root: Path) -> Iterator[Path]:
    """The folders of the cgroups that hold this process, and of all above them."""
    mounted = root / "sys" / "fs" / "cgroup"
    for controllers, path in _memberships(root):
        if controllers == "":  # version 2 has one hierarchy
            tops = [mounted, mounted / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [mounted / name for name in _V1_MOUNTS]
        else:
            continue
        for top in tops:
            inside = PurePosixPath(path).relative_to("/")
            yield from (top / part for part in (inside, *inside.parents) if ".." not in part.parts)


def _memberships(root: Path) -> Iterator[tuple[str, str]]:
    """(controllers, path) for every hierarchy; lines such as `4:cpu,cpuacct:/docker/1f3a` or `0::/`."""
    for line in kernel_text(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/"):
            yield controllers, path


def _limit_of(folder: Path) -> float | None:
    if limit := kernel_text(folder / "cpu.max").split():  # "50000 100000", or "max 100000"
        quota, period = limit[0], limit[1] if len(limit) > 1 else "100000"
    else:
        quota, period = (kernel_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if not (quota.isdigit() and period.isdigit()) or int(quota) == 0 or int(period) == 0:  # "max", "-1", no such file
        return None
    return int(quota) / int(period)

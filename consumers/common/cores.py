"""Number of cores that this process may use: its affinity, and the CPU quota of its control groups (containers)."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1; a quota of 1.5 cores counts as 2.

    Args:
        root: folder in which `proc` and `sys` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas in cores of this process' control groups and of those around them, version 2 and 1."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mount / "cpu" if controllers else mount
        group = base / path.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(base):
                break
            if controllers:
                yield from _parse_quota(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
            else:
                yield from _parse_quota(*[*_read(folder / "cpu.max").split(), "", ""][:2])


def _parse_quota(quota: str, period: str) -> Iterator[float]:
    """Yield a quota in cores; none if there is no limit (`max`, or -1) or no such file."""
    if quota.strip().isdigit() and period.strip().isdigit() and int(quota) and int(period):
        yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""

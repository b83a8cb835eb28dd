"""How many CPU cores this process may really use."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Return the cores that the affinity mask and the CPU quotas leave, at least 1.

    A quota of less than a whole core more is rounded down: the thread that does not fit would keep
    the others waiting.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, math.floor(min([allowed, *_quotas(cgroups, own)])))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield in cores what the process's control groups, and those above them, allow."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = own.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            root, read = cgroups, _quota_2
        elif "cpu" in controllers.split(","):
            root, read = cgroups / "cpu", _quota_1
        else:
            continue
        folder = root / path.lstrip("/")
        while folder.is_relative_to(root):
            # Inside a container the path may be that of the host, and not be there.
            with contextlib.suppress(OSError, ValueError):
                yield read(folder)
            folder = folder.parent


def _quota_2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    period = int((folder / "cpu.cfs_period_us").read_text())
    return quota / period if quota > 0 else math.inf

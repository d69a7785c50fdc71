"""How many threads a network should use: not more than the container may."""

import math
import os
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = _CGROUP) -> int:
    """CPUs that this process may use: its affinity, and the quota of its container (cgroup 1 or 2), rounded up."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def limit_threads() -> None:
    """Let torch use no more threads than `usable_cpus`; it does not see a container's quota by itself.

    Threads that share less time than they ask for wait for each other: eight on a quota of two are slower than two. An
    explicit OMP_NUM_THREADS stands.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cpus()))


def _quota(cgroup: Path) -> float | None:
    """CPUs' worth of time per period, None without a limit."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        quota = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return quota if quota > 0 else None

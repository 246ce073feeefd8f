"""The memory and cores of this machine, within a container's limits."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
# Memory for two more processes. If less is left, memory is scarce.
SPARE_BYTES = 512 * 1024**2
LIMITS = ("memory.max", "memory.limit_in_bytes")  # in cgroups of version 2 and 1


def memory(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Return the bytes of memory for all processes here; None if unknown."""
    lines = (line.split() for line in _text(proc / "meminfo").splitlines())
    total = [int(line[1]) * 1024 for line in lines if line[0] == "MemTotal:"]
    limits = (
        _text(folder / name) for folder in _cgroups("memory", proc, cgroup) for name in LIMITS
    )
    return min([*total, *(int(limit) for limit in limits if limit.isdecimal())], default=None)


def cores(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Return how many cores may be used; at least one."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    quotas = (_text(folder / "cpu.max").split() for folder in _cgroups("cpu", proc, cgroup))
    shares = [int(quota[0]) / int(quota[1]) for quota in quotas if quota and quota[0] != "max"]
    return max(1, math.ceil(min([available, *shares])))


def _cgroups(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """Yield the directories with this process's limits: its cgroup's, and those of all parents.

    In a container, the path may be the host's. Then only the last directory, the root, exists.
    """
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            root = cgroup / controller if controllers else cgroup
            group = PurePosixPath(path.lstrip("/"))
            yield from (root / folder for folder in (group, *group.parents))


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def resident(pid: int, proc: Path = PROC) -> int:
    """Return the bytes that a process has in memory; 0 if unknown."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def scarce(proc: Path = PROC, cgroup: Path = CGROUP) -> bool:
    """Return whether less than SPARE_BYTES of memory is left; False if unknown."""
    machine = _or_none(lambda: _left_on_machine(proc))
    container = _or_none(lambda: _left_in_container(cgroup))
    return any(left is not None and left < SPARE_BYTES for left in (machine, container))


def _or_none(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _left_on_machine(proc: Path) -> int:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    return {line[0]: int(line[1]) * 1024 for line in lines}["MemAvailable:"]


def _left_in_container(cgroup: Path) -> int:
    """Return the bytes left of the limit; the kernel can reclaim cached files."""
    limit, used = (int((cgroup / f"memory.{name}").read_text()) for name in ("max", "current"))
    lines = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    cached = {line[0]: int(line[1]) for line in lines}["inactive_file"]
    return limit - used + cached

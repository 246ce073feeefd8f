"""The host: its memory and cores, as far as a container's limits leave them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
# Room for two processes more: less than this is scarce.
SPARE_BYTES = 512 * 1024**2
LIMITS = ("memory.max", "memory.limit_in_bytes")  # as cgroups of version 2 and 1 have it


def memory(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """Return the bytes that there are for everything here; None where that cannot be told."""
    lines = (line.split() for line in _text(proc / "meminfo").splitlines())
    told = [int(line[1]) * 1024 for line in lines if line[0] == "MemTotal:"]
    limits = (_text(place / name) for place in _places("memory", proc, cgroup) for name in LIMITS)
    return min([*told, *(int(limit) for limit in limits if limit.isdecimal())], default=None)


def cores(proc: Path = PROC, cgroup: Path = CGROUP) -> int:
    """Return how many cores' time there is; at least one."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    quotas = (_text(place / "cpu.max").split() for place in _places("cpu", proc, cgroup))
    shares = [int(quota[0]) / int(quota[1]) for quota in quotas if quota and quota[0] != "max"]
    return max(1, math.ceil(min([here, *shares])))


def _places(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """Yield the directories that tell the limits of this process: each limit above it holds, too.

    In a container the path may be the host's, and then only the last, the root, is there.
    """
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            root = cgroup / controller if controllers else cgroup
            place = PurePosixPath(path.lstrip("/"))
            yield from (root / one for one in (place, *place.parents))


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def resident(pid: int, proc: Path = PROC) -> int:
    """Return the bytes that a process has in memory; 0 where that cannot be told."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def scarce(proc: Path = PROC, cgroup: Path = CGROUP) -> bool:
    """Say whether less than SPARE_BYTES is left; False where that cannot be told."""
    left = (_told(lambda: _of_machine(proc)), _told(lambda: _of_container(cgroup)))
    return any(one is not None and one < SPARE_BYTES for one in left)


def _told(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _of_machine(proc: Path) -> int:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    return {line[0]: int(line[1]) * 1024 for line in lines}["MemAvailable:"]


def _of_container(cgroup: Path) -> int:
    """Return what is left of a limit; what only caches files can be had back."""
    most, used = (int((cgroup / f"memory.{name}").read_text()) for name in ("max", "current"))
    lines = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    cached = {line[0]: int(line[1]) for line in lines}["inactive_file"]
    return most - used + cached

"""The memory: how much a process has, and whether the machine or container runs short of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# Room for two processes more: less than this is scarce.
SPARE_BYTES = 512 * 1024**2
CGROUP = Path("/sys/fs/cgroup")


def resident(pid: int, proc: Path = Path("/proc")) -> int:
    """Return the bytes that a process has in memory; 0 where that cannot be told."""
    try:
        pages = int((proc / str(pid) / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def scarce(proc: Path = Path("/proc"), cgroup: Path = CGROUP) -> bool:
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

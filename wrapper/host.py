"""The machine: its memory, cores and processes, and what only Linux can do.

psutil reports them on every system. Linux alone has limits of containers, and cheaper ways to read
what is read for each request.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import psutil

# Read when they are used: tests hide Linux by changing them (tests/support/hidden_linux.py).
LINUX = sys.platform == "linux"
PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
UNTESTED = (
    "this system is not Linux, the only one that the gateway is tested on. CLAUDE_SANDBOX and "
    "CLAUDE_USER are refused here, Claude Code's login in a Keychain is not used, and some limits "
    "are looser: docs/operations.md lists them under macOS"
)
# Memory for two more processes. If less is left, memory is scarce.
SPARE_BYTES = 512 * 1024**2
# The files with a limit of memory and with what is used of it, in cgroups of version 2 and 1.
LIMITS = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
# Version 1 writes the largest number of whole pages where there is no limit.
UNLIMITED = 2**62
# What is added to the niceness of processes that others come before. Beside one that is not nice
# they get a quarter of the CPU time.
NICENESS = 5
NICEST = 19
# The clock of a process's CPU time, as clock_getcpuclockid() encodes it on Linux.
_CPUCLOCK_SCHED = 2


def memory() -> int | None:
    """Return the bytes of memory for all processes here; None if unknown."""
    total = _or_none(lambda: int(psutil.virtual_memory().total))
    limits = (_text(folder / name) for folder in _cgroups("memory") for name in LIMITS)
    known = [] if total is None else [total]
    return min([*known, *(int(limit) for limit in limits if limit.isdecimal())], default=None)


def cores() -> int:
    """Return how many cores may be used; at least one."""
    quotas = (_text(folder / "cpu.max").split() for folder in _cgroups("cpu"))
    shares = [int(quota[0]) / int(quota[1]) for quota in quotas if quota and quota[0] != "max"]
    return max(1, math.ceil(min([_available_cores(), *shares])))


def _available_cores() -> int:
    """Return how many cores this process may run on, where the system can restrict that."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroups(controller: str) -> Iterator[Path]:
    """Yield the directories with this process's limits: its cgroup's, and those of all parents.

    In a container, the path may be the host's. Then only the last directory, the root, exists.
    """
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            root = CGROUP / controller if controllers else CGROUP
            group = PurePosixPath(path.lstrip("/"))
            yield from (root / folder for folder in (group, *group.parents))


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory; 0 if unknown."""
    try:
        return int(_process(pid).memory_info().rss)
    except (OSError, psutil.Error):  # no descriptor may be left to read it with
        return 0


def age(pid: int) -> float:
    """Return the seconds since a process started; infinite if it has ended, or that is unknown."""
    try:
        return time.time() - psutil.Process(pid).create_time()
    except (OSError, psutil.Error):
        return math.inf


def cpu_seconds(pid: int) -> float:
    """Return how much CPU time a process has used; infinite if it has died."""
    try:
        if LINUX:
            return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
        times = _process(pid).cpu_times()
        return float(times.user + times.system)
    except (OSError, psutil.Error):
        return math.inf


def lower_priority(leader: int) -> None:
    """Let the processes of *leader*'s group and session get CPU time after all others, for good.

    Raising it again takes privileges. Linux may compare niceness only within a session
    (sched_autogroup), whose own niceness is in a file, and is 0 whatever its parent's is. What is
    not permitted is left as it is.
    """
    niceness = min(NICEST, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, leader, niceness)
    if LINUX:
        with suppress(OSError):
            (PROC / str(leader) / "autogroup").write_text(str(NICENESS))


def descriptors() -> int:
    """Return how many descriptors this process has open. Linux itself counts them since 6.2."""
    try:
        counted = os.stat(f"{PROC}/self/fd").st_size
    except FileNotFoundError:
        counted = 0
    return counted or psutil.Process().num_fds()


@lru_cache(maxsize=64)
def _process(pid: int) -> psutil.Process:
    """Return the process, to read from only: a later process may get the same id."""
    return psutil.Process(pid)


def memory_left() -> int | None:
    """Return the bytes of memory that are left, also by a cgroup's limit; None if unknown."""
    machine = _or_none(lambda: int(psutil.virtual_memory().available))
    groups = [
        _or_none(partial(_left, folder, limit, used))
        for folder in _cgroups("memory")
        for limit, used in LIMITS.items()
    ]
    return min((left for left in (machine, *groups) if left is not None), default=None)


def scarce() -> bool:
    """Return whether less than SPARE_BYTES of memory is left; False if unknown."""
    left = memory_left()
    return left is not None and left < SPARE_BYTES


def _or_none(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _left(folder: Path, limit: str, used: str) -> int:
    """Return the bytes left of a cgroup's limit; the kernel can reclaim cached files.

    Raises ValueError if it has none: what is used, which is costly to read, does not matter then.
    """
    most = int((folder / limit).read_text())
    if most >= UNLIMITED:
        raise ValueError("no limit")
    lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
    cached = {line[0]: int(line[1]) for line in lines}
    # In version 1, only the total counts the cgroups below, as the use does.
    reclaimable = cached.get("total_inactive_file", cached["inactive_file"])
    return most - int((folder / used).read_text()) + reclaimable

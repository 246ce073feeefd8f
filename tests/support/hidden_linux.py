"""Hide what only Linux has, to run tests as on another system: HIDE_LINUX=1 pytest ...

This is not macOS: the kernel, the file system and psutil's implementation stay those of Linux.
"""

from __future__ import annotations

import os
import resource
import select
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import Any

from wrapper import host

VARIABLE = "HIDE_LINUX"
NOWHERE = Path("/nowhere/of/linux")
# What macOS lacks of Python's modules. Their names in other modules' globals stay.
NAMES = {
    os: (
        *("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create", "eventfd"),
        *("posix_fallocate", "posix_fadvise", "fdatasync", "copy_file_range", "splice", "pipe2"),
        *("getresuid", "getresgid", "setresuid", "setresgid", "unshare"),
    ),
    resource: ("prlimit",),
    select: ("POLLRDHUP", "epoll"),
    signal: ("sigtimedwait", "sigwaitinfo", "SIGPWR", "SIGRTMIN"),
    socket: ("TCP_USER_TIMEOUT", "TCP_QUICKACK", "SO_PEERCRED", "AF_NETLINK", "SO_BINDTODEVICE"),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI"),
}
# The most open files that macOS allows (OPEN_MAX).
OPEN_MAX = 10240


def hide() -> None:
    """Hide it in this process, until that ends."""
    host.LINUX = False
    host.PROC = host.CGROUP = NOWHERE
    selectors.DefaultSelector = selectors.PollSelector  # type: ignore[misc,assignment]
    for module, names in NAMES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    _limit_clocks()
    _limit_limits()


def _limit_clocks() -> None:
    """Let only this process's own clocks be read."""
    read = time.clock_gettime

    def clock_gettime(clock: int) -> float:
        if clock < 0:
            raise OSError(22, "Invalid argument")
        return read(clock)

    time.clock_gettime = clock_gettime


def _limit_limits() -> None:
    """Limit no address space, and refuse a limit of more than OPEN_MAX files."""
    set_limit = resource.setrlimit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    set_limit(resource.RLIMIT_NOFILE, (min(soft, OPEN_MAX), hard))

    def setrlimit(number: int, limits: tuple[int, int]) -> Any:
        if number == resource.RLIMIT_NOFILE and limits[0] > OPEN_MAX:
            raise ValueError("current limit exceeds maximum limit")
        return None if number == resource.RLIMIT_AS else set_limit(number, limits)

    resource.setrlimit = setrlimit


if os.environ.get(VARIABLE):
    hide()

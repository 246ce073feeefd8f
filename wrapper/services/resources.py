"""The machine's resources that turns need, and the errors for their shortage."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wrapper import host
from wrapper.errors import Unavailable

# Kept free for health checks and refusals. A turn takes up to 16.
SPARE_DESCRIPTORS = 48
COUNT_SECONDS = 0.05
RETRY_SECONDS = 5
# macOS accepts no higher limit of open files (OPEN_MAX), even if it reports that any is allowed.
MOST_ON_MACOS = 10240
# glibc's option for the size from which blocks are mapped one by one, and returned when freed.
M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 1024 * 1024

DESCRIPTORS = "file descriptors; raise its limit (ulimit -n, LimitNOFILE)"
LACKS = {
    errno.EMFILE: DESCRIPTORS,
    errno.ENFILE: "open files of the whole machine",
    errno.ENOMEM: "memory",
    errno.ENOSPC: "room on its disk",
    errno.EDQUOT: "room on its disk",
}
NO_THREAD = "can't start new thread"


def check(clock: Callable[[], float] = time.monotonic) -> None:
    """Raise Unavailable where too little is left for another turn.

    It counts again after COUNT_SECONDS at the earliest, since counting delays each request.
    """
    if _few_descriptors_in(clock() // COUNT_SECONDS):
        raise _short_of(DESCRIPTORS)


def health() -> dict[str, Any]:
    if _few_descriptors():
        return {"status": "failing", "error": _short_of(DESCRIPTORS).message}
    return {"status": "ok"}


@dataclass(frozen=True)
class MachineState:
    """What the machine has and what is left of it; None where that is unknown, or not limited.

    `load` is the mean number of processes that run or wait for a core, over a minute.
    """

    memory: int | None
    memory_left: int | None
    load: float | None
    cores: int
    descriptors: int | None
    most_descriptors: int | None


def machine_state() -> MachineState:
    """Return the state of the machine, and of this process's open files."""
    load = descriptors = None
    with suppress(OSError):
        load = os.getloadavg()[0]
    with suppress(OSError):
        descriptors = host.descriptors()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MachineState(
        host.memory(),
        host.memory_left(),
        load,
        host.cores(),
        descriptors,
        most if most >= 0 else None,
    )


def lack(error: BaseException) -> Unavailable | None:
    """Return the client's error if *error* comes from a shortage, else None."""
    if isinstance(error, MemoryError):
        return _short_of("memory")
    if isinstance(error, RuntimeError) and NO_THREAD in str(error):
        return _short_of("threads, or of memory for them")
    if isinstance(error, OSError) and error.errno in LACKS:
        return _short_of(LACKS[error.errno])
    return None


def make_room(descriptors: int) -> None:
    """Raise this process's limit of open files to *descriptors*, or as near as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors if hard < 0 else min(descriptors, hard)
    for limit in (wanted, min(wanted, MOST_ON_MACOS)):
        if not 0 <= soft < limit:
            return
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def return_large_blocks() -> None:
    """Make glibc return each large block to the system when it is freed.

    Otherwise glibc keeps up to 64 MiB in each arena once a block of many megabytes was freed, and a
    few oversized bodies cost the process hundreds of megabytes for good. Other C libraries have no
    such option and stay as they are.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def keep_loaded_objects() -> None:
    """Leave what is loaded by now, which is mostly code, out of garbage collection.

    Otherwise each full collection, about one in 100 turns, stops all threads for 0.1 s.
    """
    gc.collect()
    gc.freeze()


@lru_cache(maxsize=1)
def _few_descriptors_in(period: float) -> bool:
    """Return what was found first in this *period*."""
    return _few_descriptors()


def _few_descriptors() -> bool:
    """Say whether few are left, or False where that cannot be found out."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return 0 <= soft < host.descriptors() + SPARE_DESCRIPTORS
    except OSError as error:
        return error.errno in LACKS


def _short_of(what: str) -> Unavailable:
    return Unavailable(f"The gateway is short of {what}.", retry_after=RETRY_SECONDS)

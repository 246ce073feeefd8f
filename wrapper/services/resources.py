"""The machine: what turns need of it, and what a fault means that comes of its lack."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from contextlib import suppress
from typing import Any

from wrapper.errors import Unavailable

# What is kept for those who ask how it is, or are told no: a turn takes up to 16 of its own.
SPARE_DESCRIPTORS = 48
RETRY_SECONDS = 5
# glibc's name for the size from which a block is mapped by itself, and returned when it is freed.
M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 1024 * 1024

DESCRIPTORS = "file descriptors; raise its limit (ulimit -n, LimitNOFILE)"
LACKS = {
    errno.EMFILE: DESCRIPTORS,
    errno.ENFILE: "files that its machine lets be open",
    errno.ENOMEM: "memory",
    errno.ENOSPC: "room on its disk",
    errno.EDQUOT: "room on its disk",
}
NO_THREAD = "can't start new thread"


def check() -> None:
    """Raise Unavailable where too little is left for one turn more."""
    if _few_descriptors():
        raise _short_of(DESCRIPTORS)


def health() -> dict[str, Any]:
    if _few_descriptors():
        return {"status": "failing", "error": _short_of(DESCRIPTORS).message}
    return {"status": "ok"}


def lack(error: BaseException) -> Unavailable | None:
    """Return what *error* means to a client, where it comes of something's lack; else None."""
    if isinstance(error, MemoryError):
        return _short_of("memory")
    if isinstance(error, RuntimeError) and NO_THREAD in str(error):
        return _short_of("threads, or of memory for them")
    if isinstance(error, OSError) and error.errno in LACKS:
        return _short_of(LACKS[error.errno])
    return None


def make_room(descriptors: int) -> None:
    """Raise this process's own limit to *descriptors*, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < descriptors:
        wanted = descriptors if hard < 0 else min(descriptors, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def return_large_blocks() -> None:
    """Let glibc return each large block to the system when it is freed.

    Otherwise glibc keeps up to 64 MiB for each of its arenas once a block of many megabytes was
    freed, and a few oversized bodies cost the process hundreds of megabytes for good. Other C
    libraries have no such setting and are left as they are.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def _few_descriptors() -> bool:
    """Say whether few are left; False where that cannot be told."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return 0 <= soft < _descriptors() + SPARE_DESCRIPTORS
    except OSError as error:
        return error.errno in LACKS


def _descriptors() -> int:
    """Return how many are open, which Linux tells since 6.2 and others let be counted."""
    try:
        told = os.stat("/proc/self/fd").st_size
    except FileNotFoundError:
        told = 0
    return told or len(os.listdir("/dev/fd")) - 1  # less the folder itself


def _short_of(what: str) -> Unavailable:
    return Unavailable(f"The gateway is short of {what}.", retry_after=RETRY_SECONDS)

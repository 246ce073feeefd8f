"""Orphans: what runs on for a directory whose gateway is no more, and how it is ended.

Run as a program it waits beside a gateway for that, and outlives it. So that this costs little,
only the standard library is imported here.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A gateway holds this file's lock while it lives; the kernel gives it up, however it ends.
LOCK = "lock"
SECONDS = 5.0
PAUSE_SECONDS = 0.01
# How deep directories may be that are removed.
DEEPEST = 100_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def reap(root: Path, *, wait: bool = False) -> None:
    """End what runs for *root* and remove it, if its gateway is dead, or when it is: *wait*.

    Raises OSError where there is no such directory of this user's, or nothing that tells.
    """
    with opened(root) as folder:
        if os.fstat(folder).st_uid != os.getuid():
            raise PermissionError(f"{root} is another user's")
        lock = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(lock, "rb"):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return
        end(root)
        remove(root)


@contextmanager
def opened(folder: str | Path, above: int | None = None) -> Iterator[int]:
    """Open a directory, named from the descriptor *above* if there is one, and no link.

    A whole path may have no link anywhere: who can write above could lead it elsewhere.
    """
    first, *names = [folder] if above is not None else Path(folder).absolute().parts
    descriptor = os.open(first, _DIRECTORY, dir_fd=above)
    try:
        for name in names:
            upper, descriptor = descriptor, os.open(name, _DIRECTORY, dir_fd=descriptor)
            os.close(upper)
        yield descriptor
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove *folder* and all that is in it, following no link; what cannot be removed stays.

    It may be deeper than this process has descriptors, or its stack room for calls: directories are
    moved up before they are removed.
    """
    with suppress(OSError), opened(folder.parent) as above:
        with opened(folder.name, above) as top:
            for _ in range(DEEPEST):
                if not _remove_level(top):
                    break
        os.rmdir(folder.name, dir_fd=above)


def _remove_level(top: int) -> bool:
    """Remove what is in a directory, of its directories one level; say whether one was removed."""
    removed = False
    for name in _remove_files(top):
        with suppress(OSError):
            with opened(name, top) as inner:
                for below in _remove_files(inner):
                    os.rename(below, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)
            os.rmdir(name, dir_fd=top)
            removed = True
    return removed


def _remove_files(folder: int) -> list[str]:
    """Remove what is in a directory but is none itself; return the names of its directories."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    return [name for name, is_directory in found if is_directory]


def end(folder: Path, seconds: float = SECONDS) -> None:
    """Kill what was started for *folder*, in whichever session it is; give up after *seconds*.

    It is known by its environment, and with it all that descends from it.
    """
    until = time.monotonic() + seconds
    while (found := _started_for(folder)) and time.monotonic() < until:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)


def _started_for(folder: Path) -> set[int]:
    mark = f"{folder}/".encode()
    parents, found = {}, set()
    for pid in _processes():
        with suppress(OSError):
            process = Path("/proc", str(pid))
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[pid] = int(parent)
            if mark in (process / "environ").read_bytes():
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & parents.keys()


def _processes() -> list[int]:
    """Return the ids of all processes; none where there is no /proc."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def main(root: str) -> None:
    # Whoever stops all of a service's processes at once does not mean this one: it ends by itself.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        reap(Path(root), wait=True)


if __name__ == "__main__":
    main(sys.argv[1])

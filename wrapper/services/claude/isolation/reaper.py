"""End the processes of a gateway that has died, and remove its directory.

Run as a program, it waits for the death of its gateway and outlives it. It imports only the
standard library and psutil, so that this costs little.
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

if __name__ == "__main__":  # the program has no packages but those in the directory of psutil
    sys.path.append(sys.argv[2])
import psutil

# A gateway holds this file's lock while it lives; the kernel releases it, however it dies.
LOCK = "lock"
END_SECONDS = 5.0
PAUSE_SECONDS = 0.01
# How deep a directory may be to be removed.
MAX_DEPTH = 100_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def command(directory: Path) -> list[str]:
    """Return the command that runs this program for *directory*."""
    packages = Path(psutil.__file__).parents[1]
    return [sys.executable, "-I", "-S", __file__, str(directory), str(packages)]


def reap(directory: Path, *, wait: bool = False) -> None:
    """End what runs for *directory* and remove it, if its gateway is dead, or *wait* until it is.

    Raises OSError if this user has no such directory, or it has no lock.
    """
    with opened(directory) as folder:
        if os.fstat(folder).st_uid != os.getuid():
            raise PermissionError(f"{directory} is another user's")
        lock = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(lock, "rb"):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return
        end(directory)
        remove(directory)


@contextmanager
def opened(folder: str | Path, above: int | None = None) -> Iterator[int]:
    """Open a directory that is not a link, relative to the descriptor *above* if that is given.

    A whole path may have no link anywhere, since whoever can write above could redirect it.
    """
    first, *names = [folder] if above is not None else Path(folder).absolute().parts
    descriptor = os.open(first, _DIRECTORY, dir_fd=above)
    try:
        for name in names:
            parent, descriptor = descriptor, os.open(name, _DIRECTORY, dir_fd=descriptor)
            os.close(parent)
        yield descriptor
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove *folder* and its content without following links; what cannot be removed stays.

    It may be deeper than this process has descriptors, or its stack has room for calls, so nested
    directories are moved up before they are removed.
    """
    with suppress(OSError), opened(folder.parent) as above:
        with opened(folder.name, above) as top:
            for _ in range(MAX_DEPTH):
                if not _remove_level(top):
                    break
        os.rmdir(folder.name, dir_fd=above)


def _remove_level(top: int) -> bool:
    """Remove the files in a directory and one level of its directories; say if one was removed."""
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
    """Remove the files in a directory; return the names of its directories."""
    with os.scandir(folder) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in names:
        if not is_directory:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    return [name for name, is_directory in names if is_directory]


def end(folder: Path, seconds: float = END_SECONDS) -> None:
    """Kill all processes of *folder*, whichever session they are in; give up after *seconds*.

    They have a path below *folder* in their environment, or descend from a process that has.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # For a moment there may be no descriptor to look with.
        with suppress(OSError, psutil.Error):
            if not (pids := _processes_of(folder)):
                return
            for pid in pids:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)


def _processes_of(folder: Path) -> set[int]:
    processes = list(psutil.process_iter())
    pids = {process.pid for process in processes if _names(process, f"{folder}/")}
    if not pids:
        return pids
    parents = dict(filter(None, map(_living_child, processes)))
    while children := {pid for pid, parent in parents.items() if parent in pids} - pids:
        pids |= children
    return pids & parents.keys()


def _names(process: psutil.Process, prefix: str) -> bool:
    """Say whether the environment of a process has a path that begins with *prefix*."""
    try:
        return any(prefix in value for value in process.environ().values())
    except (OSError, psutil.Error):  # it has ended, or is another user's
        return False


def _living_child(process: psutil.Process) -> tuple[int, int] | None:
    """Return the ids of a process and its parent, None if it has ended."""
    try:
        with process.oneshot():
            ended = process.status() == psutil.STATUS_ZOMBIE
            return None if ended else (process.pid, process.ppid())
    except (OSError, psutil.Error):
        return None


def main(directory: str) -> None:
    # Signals to all of a service's processes must not end this one, which ends by itself.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        reap(Path(directory), wait=True)


if __name__ == "__main__":
    main(sys.argv[1])

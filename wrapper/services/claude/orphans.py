"""Orphans: what runs on for a directory whose gateway is no more, and how it is ended.

Run as a program it waits beside a gateway for that, and outlives it. So that this costs little,
only the standard library is imported here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

# A gateway holds this file's lock while it lives; the kernel gives it up, however it ends.
LOCK = "lock"
SECONDS = 5.0
PAUSE_SECONDS = 0.01


def reap(root: Path, *, wait: bool = False) -> None:
    """End what runs for *root* and remove it, if its gateway is dead, or when it is: *wait*.

    Raises OSError where there is no such directory, or nothing that tells.
    """
    with (root / LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return
        end(root)
        shutil.rmtree(root, ignore_errors=True)


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

"""The directory that holds all files of a gateway's processes, and is removed with the gateway."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wrapper.services.claude.isolation import reaper

PREFIX = "claude-gateway-"
REAPER_SECONDS = 10.0


class RuntimeDirectory:
    """A new directory at *path*. Its lock file is locked as long as its gateway lives."""

    def __init__(self) -> None:
        # It gets its name once it is locked, so that no other gateway takes it for abandoned.
        new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}")).resolve()
        lock = new / reaper.LOCK
        lock.touch(0o600)  # else a user that may pass through the directory could hold the lock
        self._lock = lock.open("rb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = new.rename(new.with_name(new.name[1:]))
        self._starting = threading.Lock()
        self._reaper: subprocess.Popen[bytes] | None = None

    def start_reaper(self) -> None:
        """Start the reaper unless it runs: it ends what the gateway leaves behind if it is killed.

        Raises OSError if it cannot be started.
        """
        with self._starting:
            if self._reaper is None or self._reaper.poll() is not None:
                self._reaper = subprocess.Popen(
                    reaper.command(self.path),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={},
                    start_new_session=True,
                )

    def remove(self) -> None:
        """Remove the directory and end its reaper."""
        reaper.remove(self.path)
        self._lock.close()
        if self._reaper:
            try:
                self._reaper.wait(REAPER_SECONDS)
            except subprocess.TimeoutExpired:
                self._reaper.kill()
                self._reaper.wait()


def reap_abandoned() -> None:
    """End the processes and remove the directories of this user's gateways that have died."""
    for directory in _directories():
        with suppress(OSError):
            reaper.reap(directory)


def _directories() -> Iterator[Path]:
    for path in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        with suppress(OSError):
            if not path.is_symlink() and path.stat().st_uid == os.getuid():
                yield path

"""The root: the directory that holds all that a gateway's processes have, and goes with it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wrapper.services.claude.isolation import reaper

PREFIX = "claude-gateway-"
SECONDS = 10.0


class RuntimeDirectory:
    """A new directory, at *path*, whose lock says that its gateway lives."""

    def __init__(self) -> None:
        # Only what is locked bears the name, so that nobody takes it for a dead gateway's.
        new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}")).resolve()
        lock = new / reaper.LOCK
        lock.touch(0o600)  # else a user that may pass through could hold it
        self._lock = lock.open("rb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = new.rename(new.with_name(new.name[1:]))
        self._guard: subprocess.Popen[bytes] | None = None

    def guard(self) -> None:
        """See to it that a process waits beside this one that ends what it may leave behind.

        Raises OSError where none can be started.
        """
        if self._guard and self._guard.poll() is None:
            return
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )

    def remove(self) -> None:
        """Remove it, and its guard with it."""
        reaper.remove(self.path)
        self._lock.close()
        if self._guard:
            try:
                self._guard.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self._guard.kill()
                self._guard.wait()


def reap_abandoned() -> None:
    """End what gateways have left that are no more, as far as they were this user's."""
    for root in _roots():
        with suppress(OSError):
            reaper.reap(root)


def _roots() -> Iterator[Path]:
    for root in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        with suppress(OSError):
            if not root.is_symlink() and root.stat().st_uid == os.getuid():
                yield root

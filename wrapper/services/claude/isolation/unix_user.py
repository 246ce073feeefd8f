"""The Unix user that agents' processes run as, where it is not the gateway's own."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Others may go through a directory of the gateway's, and see nothing of what is in it.
PASSABLE = 0o711
SECONDS = 10


@dataclass(frozen=True)
class UnixUser:
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def spawning(self) -> dict[str, Any]:
        """Return the arguments of Popen that make a process this user's."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups}

    def own(self, *paths: Path) -> None:
        """Give it *paths*; what a link among them leads to stays whose it is.

        What is in a directory is to be given before it, as the user may put another file there.
        """
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can(self, how: str, path: str | Path) -> bool:
        """Say whether it can read (r), write (w) or go into or run (x) *path*: it tries."""
        asked = ["/usr/bin/test", f"-{how}", str(path)]
        tried = subprocess.run(asked, cwd="/", env={}, timeout=SECONDS, **self.spawning)
        return tried.returncode == 0


def find(name: str) -> UnixUser:
    """Return the user of that *name*; raises KeyError where there is none."""
    row = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(name, row.pw_gid))
    return UnixUser(name, row.pw_uid, row.pw_gid, groups, row.pw_dir)


def of(name: str) -> UnixUser | None:
    """Return the user of that *name*, None for an empty one. Raises KeyError."""
    return find(name) if name else None

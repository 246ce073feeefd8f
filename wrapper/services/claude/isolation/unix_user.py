"""The Unix user that agents' processes run as, if that is not the gateway's own."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The mode of directories that other users may pass through, but not list.
PASSABLE = 0o711
SECONDS = 10
# Prints those of its arguments after the first for which `test` with the first is true.
_TRY = r'how=$1; shift; for path; do if test "$how" "$path"; then printf "%s\0" "$path"; fi; done'


@dataclass(frozen=True)
class UnixUser:
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def spawning(self) -> dict[str, Any]:
        """Return the arguments that make Popen run a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups}

    def own(self, *paths: Path) -> None:
        """Make the user the owner of *paths*, but not of what links among them point to.

        A directory must come after what is in it, since its owner may replace files there.
        """
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can(self, how: str, path: str | Path) -> bool:
        """Try whether the user can read (r), write (w), or run or enter (x) *path*."""
        return bool(self.among(how, [path]))

    def among(self, how: str, paths: Iterable[str | Path]) -> set[Path]:
        """Return those of *paths* that the user can read, write, or run or enter.

        One process tries all, as each is a fork of the gateway.
        """
        command = ["/bin/sh", "-c", _TRY, "sh", f"-{how}", *map(str, paths)]
        tried = subprocess.run(
            command,
            cwd="/",
            env={},
            timeout=SECONDS,
            stdout=subprocess.PIPE,
            check=True,
            **self.spawning,
        )
        return {Path(os.fsdecode(path)) for path in tried.stdout.split(b"\0") if path}


def find(name: str) -> UnixUser:
    """Return the user with that *name*. Raises KeyError if there is none."""
    row = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(name, row.pw_gid))
    return UnixUser(name, row.pw_uid, row.pw_gid, groups, row.pw_dir)


def find_optional(name: str) -> UnixUser | None:
    """Return the user with that *name*, None for an empty name. Raises KeyError."""
    return find(name) if name else None

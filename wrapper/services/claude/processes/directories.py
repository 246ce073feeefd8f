"""The directories of one process: made before it starts, given to its user, removed with it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.unix_user import PASSABLE
from wrapper.services.claude.processes.profiles import Profile


class Directories:
    """What is in *home*; *shared_config* is a config directory that several processes have."""

    def __init__(self, home: Path, shared_config: Path | None):
        self._home = home
        self._shared = shared_config
        self._config = shared_config or home / "config"

    def make(self, profile: Profile) -> dict[str, str]:
        """Make them and return the environment of the process. Raises OSError."""
        temporary, work = self._home / "tmp", self._home / "work"
        for folder in (temporary, work):
            folder.mkdir(parents=True, mode=0o700)
        # Whatever the umask is. It stays the gateway's: the user could put links in its way.
        self._home.chmod(PASSABLE if profile.user else 0o700)
        self._config.mkdir(mode=0o700, exist_ok=True)
        # One identity for all: else each process would look like a new device upstream.
        identity = {"userID": hashlib.sha256(self._home.parent.name.encode()).hexdigest()}
        with suppress(FileExistsError), (self._config / ".claude.json").open("x") as file:
            json.dump(identity, file)
        if profile.user:
            own = () if self._shared else (self._config / ".claude.json", self._config)
            profile.user.own(*own, temporary, work)
        return {
            # Claude Code keeps logs of the client's functions in a cache.
            "XDG_CACHE_HOME": str(temporary),
            **profile.variables,
            "CLAUDE_CONFIG_DIR": str(self._config),
            "CLAUDE_CODE_TMPDIR": str(temporary),
            "TMPDIR": str(temporary),
        }

    def remove(self, pid: int | None = None) -> None:
        """Remove them, and what Claude Code has kept of the process *pid* in a shared one."""
        if self._shared and pid:
            with (
                suppress(OSError),
                reaper.opened(self._shared) as config,
                reaper.opened("sessions", config) as sessions,
            ):
                os.unlink(f"{pid}.json", dir_fd=sessions)
        reaper.remove(self._home)

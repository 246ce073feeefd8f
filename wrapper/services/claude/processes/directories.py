"""The directories of one process, which are made before it starts and removed with it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.unix_user import PASSABLE
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.skills import write_plugin

# Nothing has this name. Where `.claude` is a link, Claude Code knows at once that it trusts none of
# the settings there. Otherwise it runs git to find out, each time that a turn's settings are sent.
UNTRUSTED_SETTINGS = "absent"


class Directories:
    """The directories in *home*. Several processes may have the same *shared_config* directory."""

    def __init__(self, home: Path, shared_config: Path | None):
        self._home = home
        self._shared = shared_config
        self._config = shared_config or home / "config"
        self._plugin = home / "plugin"

    def arguments(self, profile: Profile) -> tuple[str, ...]:
        """Return the arguments that name directories to the process."""
        return ("--plugin-dir", str(self._plugin)) if profile.additions.skills else ()

    def make(self, profile: Profile) -> dict[str, str]:
        """Make them and return the process's environment. Raises OSError."""
        temporary, work = self._home / "tmp", self._home / "work"
        for folder in (temporary, work):
            folder.mkdir(parents=True, mode=0o700)
        # Whatever the umask is. It stays the gateway's, since the user could put links into it.
        self._home.chmod(PASSABLE if profile.user else 0o700)
        self._config.mkdir(mode=0o700, exist_ok=True)
        if profile.alike:  # an agent's tools would find the link
            (work / ".claude").symlink_to(UNTRUSTED_SETTINGS)
        if profile.additions.skills:
            write_plugin(self._plugin, profile.additions.skills)
        # The same for all, else each process would look like a new device to the API.
        identity = {"userID": hashlib.sha256(self._home.parent.name.encode()).hexdigest()}
        with suppress(FileExistsError), (self._config / ".claude.json").open("x") as file:
            json.dump(identity, file)
        if profile.user:
            config = () if self._shared else (self._config / ".claude.json", self._config)
            profile.user.own(*config, temporary, work)
        return {
            # Claude Code writes logs about the client's functions there.
            "XDG_CACHE_HOME": str(temporary),
            **profile.variables,
            "CLAUDE_CONFIG_DIR": str(self._config),
            "CLAUDE_CODE_TMPDIR": str(temporary),
            "TMPDIR": str(temporary),
        }

    def remove(self, pid: int | None = None) -> None:
        """Remove them, and the process's file in a shared config directory, by its *pid*."""
        if self._shared and pid:
            with (
                suppress(OSError),
                reaper.opened(self._shared) as config,
                reaper.opened("sessions", config) as sessions,
            ):
                os.unlink(f"{pid}.json", dir_fd=sessions)
        reaper.remove(self._home)

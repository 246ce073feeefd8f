"""Check whether a Claude Code that has booted may serve."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from wrapper.services.claude.errors.engine_errors import Refused
from wrapper.services.claude.isolation import sandbox
from wrapper.services.claude.processes.profiles import HOW_TO_UPDATE, Profile
from wrapper.services.claude.protocol import permission_prompt
from wrapper.services.permissions.confinement import HOW_TO_OPEN

# Older versions tell the model's API which directories and Git remotes there are here, and still
# older ones leave traces in agents' conversations, or read files that a text names with @.
OLDEST_VERSION = (2, 1, 302)

log = logging.getLogger(__name__)

Ask = Callable[[Mapping[str, Any]], dict[str, Any]]


def check(profile: Profile, version: str, ask: Ask) -> None:
    """Raise Refused if a CLI of this *version* does not do what *profile* needs."""
    check_version(version)
    if profile.reads_only and not permission_prompt.in_force(ask({"subtype": "get_settings"})):
        raise Refused(
            "Claude Code does not ask the gateway before it runs a command. Use a version that "
            f"does: {HOW_TO_UPDATE}; or take Bash out of CLAUDE_TOOLS, or {HOW_TO_OPEN}"
        )
    if profile.sandboxed and not sandbox.in_force(ask({"subtype": "get_settings"})):
        raise Refused(
            "Claude Code does not apply the settings of its sandbox (CLAUDE_SANDBOX). Use a "
            "version that does: " + HOW_TO_UPDATE
        )


def check_closed(pid: int) -> None:
    """Raise Refused if other processes can reach this one."""
    if _has_socket(pid):
        raise Refused(
            "Claude Code opened a socket through which other processes can reach it, although "
            "CLAUDE_CODE_HARBOR_KITE=0 is set. Use a version that respects it: " + HOW_TO_UPDATE
        )


def check_version(version: str) -> None:
    """Raise Refused if a CLI of this *version* is known to send what it must not."""
    if _numbers(version) < OLDEST_VERSION:
        shown = version or "of an old version"
        raise Refused(
            f"This Claude Code ({shown}) is older than {'.'.join(map(str, OLDEST_VERSION))}, and "
            "would send directories and Git remotes of this machine to the model's API. Update it: "
            f"{HOW_TO_UPDATE}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _has_socket(pid: int) -> bool:
    try:
        sockets = _sockets(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
    except (OSError, psutil.Error) as error:
        log.warning("it cannot be checked whether Claude Code has a socket: %s", error)
        return False
    return any(str(socket.laddr).endswith(f"/{pid}.sock") for socket in sockets)


def _sockets(process: psutil.Process) -> Sequence[Any]:
    """Return the Unix sockets of a process, or of all where another user's are not shown alone."""
    try:
        return process.net_connections("unix")
    except psutil.AccessDenied:
        return psutil.net_connections("unix")

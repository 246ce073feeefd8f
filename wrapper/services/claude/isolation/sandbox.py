"""The sandbox: Claude Code's own, and the settings that it is given for it.

The file system is hidden and opened again where commands need it: what is not thought of stays
closed. Claude Code itself opens the working directory and a temporary one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from wrapper.services.claude.isolation.unix_user import UnixUser

HOW_TO_INSTALL = "apt-get install bubblewrap socat"
SECONDS = 10
# A socket's path has at most 107 characters, and those below this directory have 87 more.
LONGEST_TMPDIR = 20

READABLE = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *(f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "libx32")),
    *("/usr/include", "/usr/share"),
    *(f"/usr/local/{name}" for name in ("bin", "sbin", "lib", "lib64", "include", "share")),
    *(f"/etc/{name}" for name in ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf")),
    *(f"/etc/{name}" for name in ("localtime", "alternatives", "mime.types", "gitconfig")),
    *(f"/etc/{name}" for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d")),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates"),
)


def sandbox(secrets: Iterable[str]) -> dict[str, Any]:
    """Return Claude Code's settings; variables of the names *secrets* are unset in commands."""
    return {
        "enabled": True,
        "failIfUnavailable": True,
        "allowUnsandboxedCommands": False,
        "autoAllowBashIfSandboxed": True,
        # There is nobody to ask for a host that no rule allows.
        "network": {"strictAllowlist": True},
        "filesystem": {"denyRead": ["/"], "allowRead": list(READABLE)},
        "credentials": {"envVars": [{"name": name, "mode": "deny"} for name in secrets]},
    }


def arguments(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the words of a command line that switch it on."""
    return "--settings", json.dumps({"sandbox": sandbox(secrets)})


def in_force(answer: Mapping[str, Any]) -> bool:
    """Say whether Claude Code's *answer* to get_settings tells of the sandbox as it is set here."""
    held = (answer.get("effective") or {}).get("sandbox") or {}
    wanted = sandbox(())
    return all(
        held.get(name) == wanted[name]
        for name in ("enabled", "failIfUnavailable", "allowUnsandboxedCommands")
    )


def why_not(path: str | None, user: UnixUser | None) -> str | None:
    """Return why there can be no sandbox for commands of *user*, with the mend; None if it can."""
    missing = [name for name in ("bwrap", "socat") if not shutil.which(name, path=path)]
    if missing:
        return (
            f"there is no {' and no '.join(missing)}; install Debian's packages: {HOW_TO_INSTALL}"
        )
    told = _try(str(shutil.which("bwrap", path=path)), user)
    if told is None:
        return None
    return (
        f"bubblewrap cannot make one here ({told}); let this user make namespaces (a container "
        "must be started so that it may: in Docker, --security-opt seccomp=unconfined and "
        "--security-opt systempaths=unconfined), or leave CLAUDE_SANDBOX out"
    )


def _try(bwrap: str, user: UnixUser | None) -> str | None:
    """Make a sandbox of the kind that Claude Code makes; return what went wrong."""
    apart = ("--unshare-user", "--unshare-pid", "--unshare-net")
    command = [bwrap, *apart, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    as_whom = user.spawning if user else {}
    try:
        tried = subprocess.run(
            command, cwd="/", capture_output=True, text=True, timeout=SECONDS, **as_whom
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if tried.returncode == 0 else tried.stderr.strip()[-200:] or "it says no more"

"""The settings of Claude Code's sandbox, and the check that it works on this machine.

The whole file system is hidden, and only what commands need is readable. Claude Code itself adds
the working directory and a temporary one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from wrapper import host
from wrapper.services.claude.isolation.unix_user import UnixUser

HOW_TO_INSTALL = "apt-get install bubblewrap socat"
SECONDS = 10
# A socket's path has at most 107 characters, of which Claude Code uses 87 below TMPDIR.
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
    """Return the settings that switch it on. *secrets* names variables that commands do not get."""
    return {
        "enabled": True,
        "failIfUnavailable": True,
        "allowUnsandboxedCommands": False,
        "autoAllowBashIfSandboxed": True,
        # Nobody can be asked about a host that no rule allows.
        "network": {"strictAllowlist": True},
        "filesystem": {"denyRead": ["/"], "allowRead": list(READABLE)},
        "credentials": {"envVars": [{"name": name, "mode": "deny"} for name in secrets]},
    }


def in_force(answer: Mapping[str, Any]) -> bool:
    """Say whether Claude Code's *answer* to get_settings has the sandbox as it is set here."""
    effective = (answer.get("effective") or {}).get("sandbox") or {}
    expected = sandbox(())
    return all(
        effective.get(name) == expected[name]
        for name in ("enabled", "failIfUnavailable", "allowUnsandboxedCommands")
    )


def check(path: str | None, user: UnixUser | None) -> str | None:
    """Return why *user*'s commands cannot run in the sandbox and what to do, None if they can."""
    if not host.LINUX:
        return (
            "the sandbox is set up and tested for Linux only; leave it out (Bash then runs only "
            "commands that read), or run the gateway in a Linux container"
        )
    missing = [name for name in ("bwrap", "socat") if not shutil.which(name, path=path)]
    if missing:
        return (
            f"there is no {' and no '.join(missing)}; install Debian's packages: {HOW_TO_INSTALL}"
        )
    error = _try(str(shutil.which("bwrap", path=path)), user)
    if error is None:
        return None
    return (
        f"bubblewrap cannot make one here ({error}); let this user make namespaces (a container "
        "must be started with that right: in Docker, --security-opt seccomp=unconfined and "
        "--security-opt systempaths=unconfined), or leave CLAUDE_SANDBOX out"
    )


def _try(bwrap: str, user: UnixUser | None) -> str | None:
    """Make a sandbox like Claude Code's, and return the error if that fails."""
    unshare = ("--unshare-user", "--unshare-pid", "--unshare-net")
    command = [bwrap, *unshare, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    as_user = user.spawning if user else {}
    try:
        done = subprocess.run(
            command, cwd="/", capture_output=True, text=True, timeout=SECONDS, **as_user
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip()[-200:] or "it gives no reason"

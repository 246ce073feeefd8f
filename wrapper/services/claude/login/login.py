"""Detect the login that Claude Code uses, and lend its own login to the gateway's processes.

Processes read the login through a link in the gateway's directory, so they see nothing else of
the user's configuration. Claude Code renews a login by replacing the file, and so the link. Unless
the new file is copied back, the user's own Claude Code keeps a token that no longer works. The
gateway copies the file, and reads of it only when it ends (expiry).
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from wrapper import host
from wrapper.services.claude.errors.engine_errors import HOW_TO_LOG_IN

# Elsewhere than on Linux a login may be in a Keychain, under a name made from the directory of
# Claude Code's configuration. The gateway's processes have directories of their own.
WITHOUT_KEYCHAIN = (
    "make a token with `claude setup-token` and set CLAUDE_CODE_OAUTH_TOKEN, or set "
    "ANTHROPIC_API_KEY (a login that Claude Code keeps in a Keychain is not used)"
)
# Providers for which nothing but their variable is known here.
SECRETS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
OTHER_PROVIDERS = ("foundry", "mantle", "anthropic_aws", "anthropic_google_cloud", "gateway")


class LentLogin:
    """Links *original*, the file of the user's login, which need not exist, into *config*."""

    def __init__(self, original: Path, config: Path):
        self.config = config
        self._original = original
        self._copy = config / original.name
        self._lock = threading.Lock()
        self._link()

    def copy_back(self) -> None:
        """Copy a renewed login back to the original file, and link that again."""
        with self._lock:
            if self._copy.is_symlink() or not self._copy.exists():
                return
            self._restore()
            self._link()

    def _restore(self) -> None:
        """Replace the original in one step, so that no reader finds a part of it."""
        handle, name = tempfile.mkstemp(dir=self._original.parent, prefix=".renewed-")
        os.close(handle)
        try:
            # If it has become a link meanwhile nothing is copied.
            renewed = os.open(self._copy, os.O_RDONLY | os.O_NOFOLLOW)
            with open(renewed, "rb") as source, open(name, "wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(name, self._original)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _link(self) -> None:
        link = self._copy.with_suffix(".link")
        link.symlink_to(self._original)
        os.replace(link, self._copy)


@dataclass(frozen=True)
class Login:
    """How Claude Code logs in: `method` is anthropic, claude_cli, or the name of a cloud.

    `billed` is what pays for turns: subscription, api_key, auth_token, a cloud, or None without a
    login. `renewal` says what to do if the login is refused.
    """

    method: str
    reason: str
    billed: str | None
    renewal: str
    missing: tuple[str, ...] = ()


def detect_login(environment: Mapping[str, str]) -> Login:
    """Return the login that Claude Code will choose, the reason, and what is missing.

    The order is Claude Code's own: first a cloud, then a key, then its own login.
    """
    return (
        _cloud_login(environment)
        or _key_login(environment)
        or _cli_login(environment)
        or _no_login()
    )


def _cloud_login(environment: Mapping[str, str]) -> Login | None:
    missing = {"bedrock": _missing_region, "vertex": _missing_project}
    for cloud in ("bedrock", "vertex", *OTHER_PROVIDERS):
        name = f"CLAUDE_CODE_USE_{cloud.upper()}"
        if _on(environment, name):
            lacks = missing[cloud](environment) if cloud in missing else ()
            renewal = f"renew the credentials for the provider that {name} chooses"
            return Login(cloud, f"{name} is set", cloud, renewal, lacks)
    return None


def _key_login(environment: Mapping[str, str]) -> Login | None:
    for name, billed in (("ANTHROPIC_AUTH_TOKEN", "auth_token"), ("ANTHROPIC_API_KEY", "api_key")):
        if environment.get(name):
            renewal = f"set {name} to a valid one, and check ANTHROPIC_BASE_URL if it is set"
            return Login("anthropic", f"{name} is set", billed, renewal)
    return None


def _cli_login(environment: Mapping[str, str]) -> Login | None:
    if environment.get("CLAUDE_CODE_OAUTH_TOKEN"):
        renewal = "set CLAUDE_CODE_OAUTH_TOKEN to a new token (made by `claude setup-token`)"
        return Login("claude_cli", "CLAUDE_CODE_OAUTH_TOKEN is set", "subscription", renewal)
    if credentials_file(environment).exists():
        renewal = "log in again with `claude /login`"
        return Login("claude_cli", "Claude Code is logged in", "subscription", renewal)
    return None


def _no_login() -> Login:
    remedy = HOW_TO_LOG_IN if host.LINUX else WITHOUT_KEYCHAIN
    missing = f"there is neither a key nor a login: {remedy}"
    return Login("claude_cli", "nothing else is set", None, remedy, (missing,))


def uses_cli_login(environment: Mapping[str, str]) -> bool:
    """Say whether Claude Code may use its own login: neither a key nor a known cloud is set."""
    return detect_login(environment).method not in ("anthropic", "bedrock", "vertex")


def uses_cloud(environment: Mapping[str, str]) -> bool:
    """Say whether Claude Code calls the model's API of a cloud."""
    return _cloud_login(environment) is not None


def credentials_file(environment: Mapping[str, str]) -> Path:
    """Return the file of Claude Code's own login, which need not exist."""
    home = environment.get("CLAUDE_CONFIG_DIR") or Path(environment.get("HOME", "/"), ".claude")
    return Path(home, ".credentials.json")


def login_id(environment: Mapping[str, str]) -> str:
    """Return a name for the login that gateways with the same login share.

    It shows nothing of the login.
    """
    login = detect_login(environment)
    secret = next((environment[name] for name in SECRETS if environment.get(name)), "")
    known_by = secret or f"{socket.gethostname()}:{credentials_file(environment)}"
    return f"{login.method}-{sha256(known_by.encode()).hexdigest()[:8]}"


def login_stamp(environment: Mapping[str, str]) -> tuple[Login, float]:
    """Return a value that changes when somebody may have logged in or out."""
    file = credentials_file(environment)
    changed = file.stat().st_mtime if file.exists() else 0.0
    return detect_login(environment), changed


def _on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "true", "yes", "on")


def _missing_region(environment: Mapping[str, str]) -> tuple[str, ...]:
    if environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"):
        return ()
    return ("AWS_REGION is not set: set it to the region of your models",)


def _missing_project(environment: Mapping[str, str]) -> tuple[str, ...]:
    needed = {
        "ANTHROPIC_VERTEX_PROJECT_ID": "the project that has the models",
        "CLOUD_ML_REGION": "the region of your models",
    }
    return tuple(
        f"{name} is not set: set it to {what}"
        for name, what in needed.items()
        if not environment.get(name)
    )

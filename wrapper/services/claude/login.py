"""The login of Claude Code's own, lent to the gateway's processes and given back when renewed.

Processes read it through a link in a directory of the gateway's, which keeps everything else of
the user's configuration from them. Claude Code renews a login by replacing the file, and so the
link: unless that file is brought back, the user's own Claude Code is left with a token that has
been used up. Its content is copied and never looked at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class LentLogin:
    """*original* is where the user's Claude Code keeps the login, be it there or not."""

    def __init__(self, original: Path, config: Path):
        self.config = config
        self._original = original
        self._lent = config / original.name
        self._lock = threading.Lock()
        self._link()

    def give_back(self) -> None:
        """Bring a login that was renewed here back to its owner, and lend it anew."""
        with self._lock:
            if self._lent.is_symlink() or not self._lent.exists():
                return
            self._restore()
            self._link()

    def _restore(self) -> None:
        """Replace the original in one step, so that whoever reads it finds it whole."""
        handle, name = tempfile.mkstemp(dir=self._original.parent, prefix=".renewed-")
        os.close(handle)
        try:
            # Where a link has taken its place meanwhile nothing is brought back.
            lent = os.open(self._lent, os.O_RDONLY | os.O_NOFOLLOW)
            with open(lent, "rb") as source, open(name, "wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(name, self._original)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _link(self) -> None:
        fresh = self._lent.with_suffix(".link")
        fresh.symlink_to(self._original)
        os.replace(fresh, self._lent)


HOW_TO_LOG_IN = "log in with `claude /login`, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN"


@dataclass(frozen=True)
class Login:
    """The way in force: `method` is anthropic, claude_cli, bedrock or vertex."""

    method: str
    reason: str
    missing: tuple[str, ...] = ()


def detect_login(environment: Mapping[str, str]) -> Login:
    """Return the login that Claude Code will choose, why, and what it still needs.

    The order is Claude Code's own: a cloud, a key, a login.
    """
    if _on(environment, "CLAUDE_CODE_USE_BEDROCK"):
        return Login("bedrock", "CLAUDE_CODE_USE_BEDROCK is set", _missing_region(environment))
    if _on(environment, "CLAUDE_CODE_USE_VERTEX"):
        return Login("vertex", "CLAUDE_CODE_USE_VERTEX is set", _missing_project(environment))
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        if environment.get(name):
            return Login("anthropic", f"{name} is set")
    if environment.get("CLAUDE_CODE_OAUTH_TOKEN"):
        return Login("claude_cli", "CLAUDE_CODE_OAUTH_TOKEN is set")
    if credentials_file(environment).exists():
        return Login("claude_cli", "Claude Code is logged in")
    missing = f"there is neither a key nor a login: {HOW_TO_LOG_IN}"
    return Login("claude_cli", "nothing else is set", (missing,))


def uses_cli_login(environment: Mapping[str, str]) -> bool:
    """Say whether Claude Code will use a login of its own: no key and no cloud is set."""
    return detect_login(environment).method == "claude_cli"


def credentials_file(environment: Mapping[str, str]) -> Path:
    """Return where Claude Code keeps a login of its own, be it there or not."""
    home = environment.get("CLAUDE_CONFIG_DIR") or Path(environment.get("HOME", "/"), ".claude")
    return Path(home, ".credentials.json")


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

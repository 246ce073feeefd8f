"""Check what the table cannot say of one setting alone, and collect all mistakes."""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Iterator

from wrapper import origins
from wrapper.settings.table import IGNORABLE, Settings

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class SettingsError(Exception):
    """Raised for wrong settings. It lists every mistake with the name of its setting."""

    def __init__(self, mistakes: list[str]):
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def mistakes_of(settings: Settings) -> list[str]:
    """Return what is wrong with *settings*; each message says what to do."""
    checks = (_access, _permissions, _sessions, _origins, _ignored_parameters)
    return [mistake for check in checks for mistake in check(settings)]


@functools.lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or address without port, can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _access(settings: Settings) -> Iterator[str]:
    if not is_loopback(settings.host) and not settings.needs_key:
        yield (
            f"API_KEY: HOST={settings.host} can be reached from other machines; "
            "set API_KEY or API_KEYS_FILE, or HOST=127.0.0.1"
        )


def _permissions(settings: Settings) -> Iterator[str]:
    if settings.claude_permission_mode == "bypassPermissions" and not settings.allow_bypass:
        yield (
            "CLAUDE_PERMISSION_MODE: bypassPermissions allows every caller to run anything; "
            "set ALLOW_BYPASS=true to confirm it, or choose another mode"
        )
    if settings.claude_cwd and not os.path.isdir(settings.claude_cwd):
        yield f"CLAUDE_CWD: {settings.claude_cwd} is not a directory; create it"


def _sessions(settings: Settings) -> Iterator[str]:
    store = settings.session_store
    if not store.startswith(REDIS_SCHEMES) and store not in ("memory", "none"):
        yield "SESSION_STORE: must be memory, none, or the URL of a Redis (redis://HOST:PORT/0)"
    if settings.session_max_bytes > settings.sessions_max_bytes:
        yield "SESSION_MAX_BYTES: must not be greater than SESSIONS_MAX_BYTES"


def _origins(settings: Settings) -> Iterator[str]:
    if origins.NONE in settings.cors_origins and len(settings.cors_origins) > 1:
        yield "CORS_ORIGINS: none cannot be combined with origins; remove it, or the others"
    for origin in settings.cors_origins:
        try:
            origins.patterns([origin])
        except ValueError as error:
            yield f"CORS_ORIGINS: {error}"


def _ignored_parameters(settings: Settings) -> Iterator[str]:
    if unknown := [name for name in settings.ignore_params if name not in IGNORABLE]:
        yield (
            f"IGNORE_PARAMS: {', '.join(unknown)[:200]} cannot be ignored; "
            f"these can: {', '.join(IGNORABLE)}"
        )

"""The line that the log begins with: what serves, where, and with which stores and keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from wrapper import engines
from wrapper.settings import Settings, masking
from wrapper.version import __version__

log = logging.getLogger(__name__)


def log_start(gateway: Any, addresses: Iterable[str]) -> None:
    """Log one line about a Gateway. Each worker logs it, since each has an engine of its own."""
    log.info("started", extra={"facts": start_facts(gateway, addresses)})


def start_facts(gateway: Any, addresses: Iterable[str]) -> dict[str, str]:
    """Return what the line says, without anything secret."""
    settings = gateway.settings
    redis = masking.login_of_url(settings.redis_url)
    return {
        "version": __version__,
        "address": ", ".join(addresses),
        **engines.describe(gateway.engine),
        "profiles": ", ".join(_profiles(settings)),
        "sessions": masking.login_of_url(settings.session_store),
        "usage": redis or settings.usage_db,
        "rates": redis or "memory",
        "keys": " and ".join(_keys(gateway)) or "none",
    }


def _profiles(settings: Settings) -> Iterator[str]:
    default, other = settings.default_profile, "plain"
    if default == other:
        other = "agent"
    yield f"{default} (default, {settings.pool_size} warm)"
    yield f"{other} ({settings.pool_size_other} warm)"


def _keys(gateway: Any) -> Iterator[str]:
    if gateway.guard.asks_app:
        yield "the app's own"
        return
    if gateway.settings.api_key:
        yield "API_KEY"
    if gateway.keys:
        yield f"{len(gateway.keys.names())} of {gateway.settings.api_keys_file}"

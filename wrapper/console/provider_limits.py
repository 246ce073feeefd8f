"""The provider's limits for pages: what it has said of each window, and how long ago."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wrapper.console.formats import duration
from wrapper.routes.context import current_gateway

NAMES = {"five_hour": "Five hours", "seven_day": "Seven days"}
# What the provider's words mean, with their tones.
STATES = {
    "allowed": ("good", "requests are taken"),
    "allowed_warning": ("warning", "nearly used up"),
    "rejected": ("bad", "requests are refused"),
}


@dataclass(frozen=True)
class ShownLimit:
    """A window of a login. What the provider has not said is None or empty.

    `state` has a tone and a text. `age` is how long ago it was said.
    """

    title: str
    used: float | None
    state: tuple[str, str] | None
    resets_at: datetime | None
    age: str


@dataclass(frozen=True)
class ShownLogin:
    """A login with its windows. `overage` is its use beyond them, in words."""

    name: str
    state: tuple[str, str] | None
    limits: list[ShownLimit]
    overage: str


def provider_limits() -> list[ShownLogin]:
    """Return what the provider has said of the gateway's logins. Raises Unavailable."""
    return [_login(login) for login in current_gateway().observers.login_limits.report()]


def _login(login: Mapping[str, Any]) -> ShownLogin:
    limits = [_limit(window) for window in login["windows"]]
    return ShownLogin(
        login["login"], STATES.get(login["status"]), limits, _overage(login["overage"] or {})
    )


def _limit(window: Mapping[str, Any]) -> ShownLimit:
    resets_at, learned_at = window["resets_at"], datetime.fromisoformat(window["learned_at"])
    return ShownLimit(
        _title(window),
        window["used"],
        STATES.get(window["status"]),
        datetime.fromisoformat(resets_at) if resets_at else None,
        duration(max(0.0, time.time() - learned_at.timestamp())),
    )


def _title(window: Mapping[str, Any]) -> str:
    """Return a window's name in words, with the model that it is of."""
    name, model = window["name"], window["model"]
    span = name.removesuffix(f"_{model}") if model else name
    words = NAMES.get(span) or span.replace("_", " ").capitalize()
    return f"{words}, {model.capitalize()}" if model else words


def _overage(overage: Mapping[str, Any]) -> str:
    if overage.get("in_use"):
        return "The limits are exceeded, which is paid for apart."
    if reason := overage.get("disabled_reason"):
        return f"They cannot be exceeded ({str(reason).replace('_', ' ')})."
    return ""

"""Check what the table cannot say of one setting alone, and collect all mistakes."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from wrapper import origins
from wrapper.settings import claude_tools, parsers, spelling
from wrapper.settings.columns import mistake
from wrapper.settings.table import IGNORABLE, Settings
from wrapper.settings.webhooks import wrong_secret, wrong_url

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
SETTING_SOURCES = ("user", "project", "local")
BETA = re.compile(r"[\w.-]{1,64}", re.ASCII)
# A setting's name in a message, other than HOST and PORT in redis://HOST:PORT.
NAME = re.compile(r"(?<![/:@])\b[A-Z][A-Z0-9_]+\b")


class SettingsError(Exception):
    """Raised for wrong settings. It lists every mistake with the name of its setting."""

    def __init__(self, mistakes: list[str]):
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def mistakes_of(settings: Settings, unreadable: Mapping[str, str] = {}) -> list[str]:
    """Return what is wrong with *settings*; each message says what to do.

    *unreadable* says of further settings, which have their defaults, why their text has no value.
    """
    wrong = wrong_values(settings, unreadable)
    sound = with_defaults(settings, wrong)
    checks = (
        *(_access, _permissions, _tools, _sessions, _origins, _ignored_parameters, _betas),
        _webhook,
    )
    between = (message for check in checks for message in check(sound))
    return [*in_words(wrong), *unaffected(between, wrong)]


def wrong_values(settings: Settings, unreadable: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the names of the settings that are wrong by themselves, each with the reason."""
    wrong = dict(unreadable)
    for row in fields(settings):
        if row.name not in wrong and (why := mistake(row, getattr(settings, row.name))):
            wrong[row.name] = why
    return wrong


def with_defaults(settings: Settings, wrong: Iterable[str]) -> Settings:
    """Return *settings* with the defaults of the *wrong* ones."""
    defaults: dict[str, Any] = {row.name: row.default for row in fields(settings)}
    return replace(settings, **{name: defaults[name] for name in wrong})


def in_words(wrong: Mapping[str, str]) -> list[str]:
    return [f"{name.upper()}: {why}" for name, why in wrong.items()]


def unaffected(mistakes: Iterable[str], wrong: Iterable[str]) -> list[str]:
    """Return those *mistakes* that name no *wrong* setting, whose value is not known."""
    names = {name.upper() for name in wrong}
    return [mistake for mistake in mistakes if names.isdisjoint(NAME.findall(mistake))]


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
    sources = parsers.names(settings.claude_setting_sources)
    if strange := [source for source in sources if source not in SETTING_SOURCES]:
        hint = spelling.did_you_mean(strange, SETTING_SOURCES)
        yield (
            f"CLAUDE_SETTING_SOURCES: {', '.join(strange)[:200]} is none of "
            f"{', '.join(SETTING_SOURCES)}{hint}"
        )
    if settings.claude_cwd and not os.path.isdir(settings.claude_cwd):
        yield f"CLAUDE_CWD: {settings.claude_cwd} is not a directory; create it"


def _tools(settings: Settings) -> Iterator[str]:
    named = {
        "CLAUDE_TOOLS": settings.claude_tools,
        "CLAUDE_ALLOWED_TOOLS": claude_tools.tools_of_rules(settings.claude_allowed_tools),
        "CLAUDE_DISALLOWED_TOOLS": claude_tools.tools_of_rules(settings.claude_disallowed_tools),
    }
    for name, tools in named.items():
        if why := claude_tools.unknown(tuple(tools)):
            yield f"{name}: {why}"


def _sessions(settings: Settings) -> Iterator[str]:
    store = settings.session_store
    if not store.startswith(REDIS_SCHEMES) and store not in ("memory", "none"):
        hint = spelling.did_you_mean([store], ("memory", "none"))
        yield (
            "SESSION_STORE: must be memory, none, or the URL of a Redis (redis://HOST:PORT/0)"
            f"{hint}"
        )
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


def _webhook(settings: Settings) -> Iterator[str]:
    if not settings.webhook_url:
        return
    if why := wrong_url(settings.webhook_url, settings.webhook_private_hosts):
        yield f"WEBHOOK_URL: {why}"
    if why := wrong_secret(settings.webhook_secret):
        yield f"WEBHOOK_SECRET: {why}"


def _ignored_parameters(settings: Settings) -> Iterator[str]:
    if unknown := [name for name in settings.ignore_params if name not in IGNORABLE]:
        yield (
            f"IGNORE_PARAMS: {', '.join(unknown)[:200]} cannot be ignored; "
            f"these can: {', '.join(IGNORABLE)}{spelling.did_you_mean(unknown, IGNORABLE)}"
        )


def _betas(settings: Settings) -> Iterator[str]:
    for name in settings.messages_betas:
        if not BETA.fullmatch(name):
            yield (
                f"MESSAGES_BETAS: {name[:100]!r} is not the name of a beta; write names such as "
                "advanced-tool-use-2025-11-20, with commas between them"
            )

"""The checks before a gateway starts. The server and the doctor run the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wrapper import engines
from wrapper.auth.key_file import SETTING, open_keys
from wrapper.mcp_config import SETTING as MCP_CONFIG
from wrapper.mcp_config import open_mcp_config
from wrapper.services.limits.rate_limits import open_rates
from wrapper.settings import Settings, SettingsError
from wrapper.settings import check as check_settings
from wrapper.settings import load as load_settings
from wrapper.storage_checks import Level, check_temporary_directory


@dataclass(frozen=True)
class StartCheck:
    """One check of what *subject* names.

    `run` returns in a few words what is good, or raises SettingsError with all mistakes, each of
    which says what to do.
    """

    subject: str
    run: Callable[[], str]


def start_checks(settings: Settings, *, to_serve: bool = True) -> tuple[StartCheck, ...]:
    """Return the checks that apply to *settings*, which are valid by themselves.

    Without *to_serve*, Claude Code need not be installed: apps have commands that do without it.
    """
    checks = [
        StartCheck("TMPDIR", _check_temporary_directory),
        StartCheck("engine", lambda: engines.check(settings, to_serve=to_serve)),
    ]
    if settings.api_keys_file:
        checks.append(StartCheck(SETTING, lambda: _check_keys(settings)))
    if settings.mcp_config:
        checks.append(StartCheck(MCP_CONFIG, lambda: _check_mcp_config(settings)))
    if settings.redis_url:
        checks.append(StartCheck("REDIS_URL", lambda: _check_rates(settings)))
    return tuple(checks)


def load(*, to_serve: bool = True) -> Settings:
    """Return the settings. Raises SettingsError with their mistakes and those of all checks."""
    return load_settings(further=partial(mistakes_of, to_serve=to_serve))


def checked(settings: Settings | None, *, runs_engine: bool) -> Settings:
    """Return *settings*, or the environment's. Raises SettingsError with all their mistakes.

    Unless the gateway *runs_engine* of its own, only the settings themselves are checked.
    """
    if settings is None:
        return load(to_serve=False) if runs_engine else load_settings()
    mistakes = partial(mistakes_of, to_serve=False)
    check_settings(settings, mistakes if runs_engine else lambda _: ())
    return settings


def check(settings: Settings) -> None:
    """Check *settings* and run all checks. Raises SettingsError with the mistakes of all."""
    check_settings(settings, mistakes_of)


def mistakes_of(settings: Settings, *, to_serve: bool = True) -> list[str]:
    """Run all checks, and return their mistakes."""
    mistakes: list[str] = []
    for start_check in start_checks(settings, to_serve=to_serve):
        try:
            start_check.run()
        except SettingsError as error:
            mistakes += error.mistakes
    return mistakes


def _check_temporary_directory() -> str:
    finding = check_temporary_directory()
    if finding.level is Level.FAILED:
        raise SettingsError([f"{finding.subject}: {finding.message}"])
    return finding.message


def _check_keys(settings: Settings) -> str:
    open_keys(settings)
    return f"{settings.api_keys_file} can be used"


def _check_mcp_config(settings: Settings) -> str:
    config = open_mcp_config(settings)
    count = len(config.servers()) if config else 0
    return f"{settings.mcp_config} can be used, and has {count} servers"


def _check_rates(settings: Settings) -> str:
    open_rates(settings)
    return "is the URL of a Redis"

"""The engines: what can answer, by name; packages offer theirs by an entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from wrapper.services.claude import preflight
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.services.engine import Engine
from wrapper.settings import Settings, SettingsError, environment

# A package's entry points in this group are callables that take the Settings.
GROUP = "wrapper.engines"
CLAUDE = "claude"

Refused = Callable[[str], None]


def build_engine(settings: Settings, refused: Refused) -> Engine:
    """Return the engine that WRAPPER_ENGINE names. Raises SettingsError where there is none.

    *refused* is told why Claude Code must not serve.
    """
    if settings.wrapper_engine != CLAUDE:
        return _found(settings.wrapper_engine)(settings)
    check(settings)
    return ClaudeEngine(settings, environment(), refused)


def check(settings: Settings) -> None:
    """Raise SettingsError, with all mistakes, where the engine could not be had."""
    if settings.wrapper_engine == CLAUDE:
        preflight.check(settings, environment())
    else:
        _found(settings.wrapper_engine)


def _found(name: str) -> Callable[[Settings], Engine]:
    offered = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted({CLAUDE, *offered}))
        raise SettingsError(
            [f"WRAPPER_ENGINE: no package offers {name!r} in {GROUP}; there are: {known}"]
        )
    try:
        make: Callable[[Settings], Engine] = offered[name].load()
    except Exception as error:
        raise SettingsError([f"WRAPPER_ENGINE: {name} cannot be loaded: {error!r}"]) from error
    return make

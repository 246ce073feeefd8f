"""Find the engine that a setting names. Packages can offer engines by an entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude import preflight
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.services.engine import Engine
from wrapper.settings import Settings, SettingsError, did_you_mean, environment

# The entry points in this group are callables that take the Settings and return an engine.
GROUP = "wrapper.engines"
CLAUDE = "claude"


def build_engine(settings: Settings, lifecycle: Lifecycle) -> Engine:
    """Return the engine that WRAPPER_ENGINE names. Raises SettingsError if there is none.

    If Claude Code must not serve, the engine reports the reason to *lifecycle*.
    """
    if settings.wrapper_engine != CLAUDE:
        return _factory(settings.wrapper_engine)(settings)
    return ClaudeEngine(settings, environment(), lifecycle)


def check(settings: Settings, *, to_serve: bool = True) -> str:
    """Return what the engine is, or raise SettingsError, with all mistakes, if it cannot be built.

    *to_serve* also asks that a Claude Code is installed that may serve.
    """
    if settings.wrapper_engine != CLAUDE:
        _factory(settings.wrapper_engine)
    elif to_serve:
        return str(preflight.check(settings, environment()))
    else:
        preflight.check_environment(settings, environment())
    return settings.wrapper_engine


def describe(engine: Engine) -> dict[str, str]:
    """Return what the log says of *engine* at the start, without waiting."""
    if isinstance(engine, ClaudeEngine):
        return engine.summary()
    return {"engine": type(engine).__name__}


def _factory(name: str) -> Callable[[Settings], Engine]:
    offered = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted({CLAUDE, *offered}))
        raise SettingsError(
            [
                f"WRAPPER_ENGINE: no package offers {name!r} in {GROUP}; the engines are: "
                f"{known}{did_you_mean([name], {CLAUDE, *offered})}"
            ]
        )
    try:
        factory: Callable[[Settings], Engine] = offered[name].load()
    except Exception as error:
        raise SettingsError([f"WRAPPER_ENGINE: {name} cannot be loaded: {error!r}"]) from error
    return factory

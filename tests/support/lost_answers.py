"""Calls of a store that fail once, as while Redis is away or slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wrapper.errors import Unavailable

Call = Callable[..., Any]
AWAY = Unavailable("SESSION_STORE: Redis cannot be reached")


def lose_once(call: Call, error: Exception = AWAY) -> Call:
    """Return *call*, of which the first one is done, but its answer is lost."""
    return _raise_once(call, error, before=False)


def fail_once(call: Call, error: Exception = AWAY) -> Call:
    """Return *call*, of which the first one does nothing."""
    return _raise_once(call, error, before=True)


def _raise_once(call: Call, error: Exception, *, before: bool) -> Call:
    failed: list[bool] = []

    def wrapped(*arguments: Any, **more: Any) -> Any:
        if failed:
            return call(*arguments, **more)
        failed.append(True)
        if not before:
            call(*arguments, **more)
        raise error

    return wrapped

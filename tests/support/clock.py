"""A clock that a test sets."""

from __future__ import annotations

from typing import Any


class Clock:
    """Returns `now`, which tests change."""

    def __init__(self, now: Any = 0.0):
        self.now = now

    def __call__(self) -> Any:
        return self.now

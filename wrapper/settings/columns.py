"""The columns of the settings' table: kind, default, meaning and check, one function a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from environs import validate

Check = Callable[..., Any]

positive = validate.Range(min=1)
not_negative = validate.Range(min=0)
not_empty = validate.Length(min=1)


def text(default: str, meaning: str, check: Check | None = None, *, secret: bool = False) -> Any:
    """Return a setting that is a text. A *secret* one is not printed."""
    return _setting("str", default, meaning, check, secret)


def integer(default: int, meaning: str, check: Check) -> Any:
    return _setting("int", default, meaning, check)


def flag(default: bool, meaning: str) -> Any:
    return _setting("bool", default, meaning)


def choice(default: str, meaning: str, choices: tuple[str, ...]) -> Any:
    """Return a setting that is one of *choices*."""
    return _setting("str", default, meaning, validate.OneOf(choices))


def listing(kind: str, default: tuple[Any, ...], meaning: str) -> Any:
    """Return a setting that is a list; *kind* names its function in `parsers`."""
    return _setting(kind, default, meaning)


def _setting(
    kind: str, default: Any, meaning: str, check: Check | None = None, secret: bool = False
) -> Any:
    metadata = {"kind": kind, "meaning": meaning, "check": check}
    return field(default=default, metadata=metadata, repr=not secret)

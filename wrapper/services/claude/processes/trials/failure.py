"""The failure of a check."""

from __future__ import annotations


class Failed(Exception):
    """Raised if Claude Code does not do what is relied on. Its text says what it did."""


def expect(holds: object, failure: str) -> None:
    """Raise Failed with the text *failure* unless *holds*."""
    if not holds:
        raise Failed(failure)

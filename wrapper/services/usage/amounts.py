"""The amounts that are kept, and what any store of them must do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Protocol


@dataclass(frozen=True)
class Amounts:
    """Requests, tokens and billionths of dollars; they are added up, and may be negative.

    `nanos` is what the engine said a turn cost. `unpriced_nanos` is the most that the tokens can
    have cost of which it has not said so, or not yet.
    """

    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    output: int = 0
    reasoning: int = 0
    nanos: int = 0
    unpriced_nanos: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


def total(amounts: Iterable[Amounts]) -> Amounts:
    return sum(amounts, Amounts())


@dataclass(frozen=True)
class Row:
    """What a key has spent on a model in a day (`2026-11-26`, by UTC)."""

    day: str
    key: str
    model: str
    amounts: Amounts


class StoreFailed(Exception):
    """Raised when a store cannot be read or written; the message says why, and names it."""


class UsageStore(Protocol):
    """Keeps rows. Threads and processes may use it at once. Everything may raise StoreFailed."""

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows' amounts to what is kept; all of them or, when it raises, none."""
        ...

    def read(self, first: str, last: str, key: str | None = None) -> list[Row]:
        """Return the rows of the days from *first* to *last*, of one key or all, in order."""
        ...

    def close(self) -> None: ...

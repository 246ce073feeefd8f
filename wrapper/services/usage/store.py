"""Usage rows, their amounts, and the protocol of their stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Protocol

# Costs are kept in billionths of a dollar.
NANOS = 1_000_000_000


@dataclass(frozen=True)
class Amounts:
    """Requests, tokens and billionths of dollars. Amounts can be added, and may be negative.

    `nanos` is the cost that the engine reported. `unpriced_nanos` is the most that tokens can have
    cost whose cost it did not report, or not yet, because their turn still runs.
    """

    requests: int = 0
    input: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    output: int = 0
    reasoning: int = 0
    nanos: int = 0
    unpriced_nanos: int = 0

    @property
    def prompt(self) -> int:
        """Return the tokens of prompts, cached or not."""
        return self.input + self.cache_read + self.cache_creation

    @property
    def tokens(self) -> int:
        """Return the tokens of prompts and answers."""
        return self.prompt + self.output

    @property
    def charged(self) -> int:
        """Return what counts against budgets, in billionths of dollars."""
        return self.nanos + self.unpriced_nanos

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(*(a - b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """Return the eight numbers, in the order of NAMES."""
        numbers: tuple[int, ...] = _numbers(self)
        return numbers


NAMES = tuple(row.name for row in fields(Amounts))
_numbers = attrgetter(*NAMES)


def total(amounts: Iterable[Amounts]) -> Amounts:
    return sum(amounts, Amounts())


@dataclass(frozen=True)
class Row:
    """What a key used of a model in a day (`2026-11-26`, by UTC).

    With a `user` it is what that user below the key used of all models. Such a row stands beside
    the key's own rows, and only its cost is kept.
    """

    day: str
    key: str
    model: str
    amounts: Amounts
    user: str = ""


class UsageStore(Protocol):
    """Keeps rows. Threads and processes may share it. All methods may raise StoreFailed."""

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows' amounts to the kept ones: all of them or, if it raises, none."""
        ...

    def read(self, first: str, last: str, key: str | None = None) -> list[Row]:
        """Return the rows of the days from *first* to *last*, of one key or all.

        They are in order of day, key and model. Rows whose amounts are all 0 are left out, and
        those of users.
        """
        ...

    def read_user(self, first: str, last: str, key: str, user: str) -> list[Row]:
        """Return the rows of one user below *key*, of days of one month."""
        ...

    def announce(self, day: str, occurrence: str) -> bool:
        """Keep that *occurrence* was announced on *day*, and say whether it was not before."""
        ...

    def check(self) -> None:
        """Check that the store can be reached, and change nothing."""
        ...

    def close(self) -> None: ...

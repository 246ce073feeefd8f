"""A page of a list of what keys have stored, and the query that chooses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Owner and id of something that is stored.
Key = tuple[str, str]
# A list of all owners' has so many at most, those used last.
MOST_LISTED = 50_000


@dataclass(frozen=True)
class ListQuery:
    """Chooses what has the text *sought* in its id, of one `key` or of all that may be seen.

    The page begins at the position `first` and has at most `most`.
    """

    sought: str = ""
    key: str | None = None
    first: int = 0
    most: int = 50

    def matches(self, id_: str) -> bool:
        """Say whether *id_* has the text, in any case."""
        return self.sought.lower() in id_.lower()

    def page_of(self, found: Sequence[T]) -> Sequence[T]:
        return found[self.first : self.first + self.most]


@dataclass(frozen=True)
class Listing(Generic[T]):
    """What is on a page of a list. `total` counts what was found, and `searched` all there is.

    `owner` is the key whose list it is, or None if it is that of all keys.
    """

    rows: Sequence[T]
    total: int
    searched: int
    owner: str | None

    def of(self, rows: Sequence[R]) -> Listing[R]:
        """Return the same page with other *rows*, which stand for these."""
        return Listing(rows, self.total, self.searched, self.owner)

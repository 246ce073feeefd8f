"""Unique names: finds an object of a JSON text in which a name stands twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

LONGEST = 200
# How much of a body is searched for the path; beyond it, the name alone is told.
MOST_SEARCHED = 50_000


class UniqueNames:
    """Makes the objects of one text, and tells where a name is repeated."""

    def __init__(self) -> None:
        self._found: tuple[dict[str, Any], str] | None = None

    def read(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the object of *pairs*; json.loads calls it for each object, inner ones first."""
        made = dict(pairs)
        if len(made) != len(pairs):  # the last such object is surely in the body
            self._found = made, _repeated(pairs)
        return made

    def repeated(self, body: Any) -> str | None:
        """Return the path in *body* of a repeated name, or None where there is none."""
        if self._found is None:
            return None
        object_, name = self._found
        path = next(
            (path for path, value in islice(_walk(body), MOST_SEARCHED) if value is object_), ()
        )
        return ".".join((*path, name))[:LONGEST]


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is in *value*, with its path, and without recursion."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:
        path, inner = waiting.pop()
        yield path, inner
        if isinstance(inner, dict):
            waiting += [((*path, name), each) for name, each in inner.items()]
        elif isinstance(inner, list):
            waiting += [((*path, str(at)), each) for at, each in enumerate(inner)]

"""Find an object in a JSON text that has a name twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

LONGEST = 200
# How many values of a body are searched for the path. Beyond that, only the name is known.
MOST_SEARCHED = 50_000


class UniqueNames:
    """Builds the objects of one text, and remembers one with a repeated name."""

    def __init__(self) -> None:
        self._repeating: tuple[dict[str, Any], str] | None = None

    def read(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return the object of *pairs*. json.loads calls this for each object, inner ones first."""
        built = dict(pairs)
        if len(built) != len(
            pairs
        ):  # a later one replaces it: it may have been dropped with its parent
            self._repeating = built, _repeated(pairs)
        return built

    def repeated(self, body: Any) -> str | None:
        """Return the path in *body* of a repeated name, or None."""
        if self._repeating is None:
            return None
        object_, name = self._repeating
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
    """Yield *value* and all values in it with their paths, without recursion."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:
        path, inner = waiting.pop()
        yield path, inner
        if isinstance(inner, dict):
            waiting += [((*path, name), each) for name, each in inner.items()]
        elif isinstance(inner, list):
            waiting += [((*path, str(at)), each) for at, each in enumerate(inner)]

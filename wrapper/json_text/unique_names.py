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
        found = islice(_walk(body), MOST_SEARCHED)
        path = next((path for path, value in found if value is object_), [])
        return ".".join((*path, name))[:LONGEST]


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _walk(value: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield *value* and all values in it, without recursion, each with its path at that moment."""
    path: list[str] = []
    yield path, value
    waiting = [_inner(value)]
    while waiting:
        if (found := next(waiting[-1], None)) is None:
            waiting.pop()
            del path[-1:]
            continue
        name, inner = found
        path.append(str(name))
        yield path, inner
        waiting.append(_inner(inner))


def _inner(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())

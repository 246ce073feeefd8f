"""The schema cost: how many subschemas are applied to one and the same value.

References and combinations multiply: a few dozen of them can make more work than ever ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

MOST = 100_000
LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("not", "if", "then", "else")


def is_too_costly(schema: Any) -> bool:
    """Say whether more than MOST subschemas of *schema*, at any depth, apply to one value."""
    costs = _Costs(schema)
    return any(costs.of(inner) > MOST for inner in _objects(schema))


class _Costs:
    def __init__(self, root: Any):
        self._root = root
        self._known: dict[int, int] = {}

    def of(self, schema: Any) -> int:
        """Return how many subschemas apply where *schema* does; what leads back to it is 1."""
        if not isinstance(schema, dict):
            return 1
        key = id(schema)
        if key not in self._known:
            self._known[key] = 1
            cost = 1 + sum(map(self.of, self._applied(schema)))
            self._known[key] = min(cost, MOST + 1)
        return self._known[key]

    def _applied(self, schema: dict[str, Any]) -> Iterator[Any]:
        for name in LISTS:
            if isinstance(found := schema.get(name), list):
                yield from found
        yield from (schema[name] for name in SINGLE if name in schema)
        if isinstance(found := schema.get("dependentSchemas"), dict):
            yield from found.values()
        if isinstance(reference := schema.get("$ref"), str):
            yield self._refer(reference)

    def _refer(self, reference: str) -> Any:
        """Return what a reference within the schema leads to; None where it is another kind."""
        if reference != "#" and not reference.startswith("#/"):
            return None
        found = self._root
        for name in unquote(reference).split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                return None
        return found


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield *value* and all in it, as far as they are objects."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            yield one
            rest += one.values()
        elif isinstance(one, list):
            rest += one

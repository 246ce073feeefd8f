"""Estimate the cost of a schema: how many subschemas apply to one value.

References and combinations multiply: a check of a few dozen of them may never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wrapper.services.json_schema.references import find
from wrapper.services.json_schema.subschemas import walk

MOST = 100_000
LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("not", "if", "then", "else")


def is_too_costly(schema: Any) -> bool:
    """Say whether more than MOST subschemas of *schema*, at any depth, apply to one value."""
    costs = _Costs(schema)
    return any(costs.of(inner) > MOST for inner in walk(schema))


class _Costs:
    def __init__(self, root: Any):
        self._root = root
        self._costs: dict[int, int] = {}

    def of(self, schema: Any) -> int:
        """Return how many subschemas apply with *schema*. A reference back to it counts 1."""
        if not isinstance(schema, dict):
            return 1
        key = id(schema)
        if key not in self._costs:
            self._costs[key] = 1
            cost = 1 + sum(map(self.of, self._applied(schema)))
            self._costs[key] = min(cost, MOST + 1)
        return self._costs[key]

    def _applied(self, schema: dict[str, Any]) -> Iterator[Any]:
        for name in LISTS:
            if isinstance(schemas := schema.get(name), list):
                yield from schemas
        yield from (schema[name] for name in SINGLE if name in schema)
        if isinstance(by_name := schema.get("dependentSchemas"), dict):
            yield from by_name.values()
        if isinstance(reference := schema.get("$ref"), str):
            yield find(self._root, reference)

"""Estimate the cost of a schema: how many subschemas apply to one value.

References and combinations multiply: a check of a few dozen of them may never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from wrapper.services.json_schema.references import REFERENCES, find, steps
from wrapper.services.json_schema.subschemas import walk

MOST = 100_000
LISTS = ("allOf", "anyOf", "oneOf")
SINGLE = ("not", "if", "then", "else")
ANCHORS = ("$anchor", "$dynamicAnchor")


def is_too_costly(schema: Any) -> bool:
    """Say whether more than MOST subschemas of *schema*, at any depth, apply to one value."""
    costs = _Costs(schema)
    return any(costs.of(inner) > MOST for inner in walk(schema))


class _Costs:
    def __init__(self, root: Any):
        self._costs: dict[int, int] = {}
        self._roots = [root] if isinstance(root, dict) else []
        self._anchors: dict[str, list[Any]] = {}
        self._targets: dict[str, list[Any]] = {}
        for schema in walk(root):
            if isinstance(schema, dict):
                self._note_names(schema)

    def _note_names(self, schema: dict[str, Any]) -> None:
        if "$id" in schema:
            self._roots.append(schema)
        for name in ANCHORS:
            if isinstance(anchor := schema.get(name), str):
                self._anchors.setdefault(anchor, []).append(schema)

    def of(self, schema: Any) -> int:
        """Return how many subschemas apply with *schema*. A reference back to it counts 1."""
        if not isinstance(schema, dict):
            return 1
        key = id(schema)
        if key not in self._costs:
            self._costs[key] = 1
            cost = 1 + sum(map(self.of, _applied(schema)))
            for reference in _references(schema):
                cost += max(map(self.of, self._targets_of(reference)), default=1)
            self._costs[key] = min(cost, MOST + 1)
        return self._costs[key]

    def _targets_of(self, reference: str) -> list[Any]:
        """Return what *reference* may lead to: it depends on the root, which may be any one."""
        _, _, fragment = reference.partition("#")
        if fragment not in self._targets:
            first = set(steps(fragment)[:1])
            roots = (root for root in self._roots if root.keys() >= first)
            found = (find(root, f"#{fragment}") for root in roots)
            named = self._anchors.get(unquote(fragment), ())
            # Costs are not kept by fragment: within a circle they are not known yet.
            self._targets[fragment] = [each for each in (*found, *named) if isinstance(each, dict)]
        return self._targets[fragment]


def _applied(schema: dict[str, Any]) -> Iterator[Any]:
    for name in LISTS:
        if isinstance(schemas := schema.get(name), list):
            yield from schemas
    yield from (schema[name] for name in SINGLE if name in schema)
    if isinstance(by_name := schema.get("dependentSchemas"), dict):
        yield from by_name.values()


def _references(schema: dict[str, Any]) -> list[str]:
    return [value for name in REFERENCES if isinstance(value := schema.get(name), str)]

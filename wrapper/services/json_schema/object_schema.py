"""Fold a JSON Schema with anyOf, oneOf, allOf or $ref at its top into one object schema.

The model's API refuses these at the top. The folded schema accepts every object that the original
accepts, and as few others as it can express. Its size and the work are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from wrapper.services.json_schema.loosening import loosen
from wrapper.services.json_schema.parts import accepts_all, all_of, any_of, parts_of, plain
from wrapper.services.json_schema.references import find, without_unused
from wrapper.services.json_schema.subschemas import Part, Schema, count_values, types_of

COMPOSED = ("anyOf", "oneOf", "allOf", "$ref", "$dynamicRef")
# These are folded too, or change their meaning without the composition beside them.
_FOLDED = {
    *COMPOSED,
    *("type", "properties", "required", "additionalProperties", "const", "enum"),
    *("unevaluatedProperties", "discriminator"),
}
MAX_DEPTH = 24
# Folding may visit about VISITS_PER_VALUE values for each of the original's, and MAX_VISITS in all.
MAX_VISITS = 100_000
VISITS_PER_VALUE = 20
# The cost of reading a schema, in visited values.
READING_VISITS = 10


class NoObject(ValueError):
    """Raised for a schema that accepts no object."""


class _TooComplex(Exception):
    """Raised if folding would take too long or its result would be too large."""


@dataclass(frozen=True)
class _Object:
    """What a schema requires of an object. Properties not listed must match *others*."""

    properties: Mapping[str, Part] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Part = True

    def of(self, name: str) -> Part:
        return self.properties.get(name, self.others)


ANY = _Object()


def fold(schema: Part) -> Schema:
    """Return a schema of type object for *schema*, a valid one, or *schema* itself if it is one.

    Raises NoObject if no object can match.
    """
    if isinstance(schema, bool):
        schema = _of_boolean(schema)
    if schema.get("type") == "object" and not any(name in schema for name in COMPOSED):
        return schema
    try:
        return _Folder(schema).fold()
    except _TooComplex:
        about = {name: schema[name] for name in ("title", "description") if name in schema}
        return {"type": "object", **about}


def is_composed(schema: Part) -> bool:
    """Say whether folding changes more of *schema* than its type."""
    return isinstance(schema, Mapping) and any(
        name in schema for name in (*COMPOSED, "const", "enum")
    )


def _of_boolean(schema: bool) -> Schema:
    if not schema:
        raise NoObject("accepts nothing")
    return {"type": "object"}


class _Folder:
    def __init__(self, root: Schema):
        self._root = root
        self._size = count_values(root, MAX_VISITS)
        self._visits_left = min(MAX_VISITS, 2000 + VISITS_PER_VALUE * self._size)
        self._targets: dict[str, _Object | None] = {}
        self._keys: dict[int, tuple[Part, str]] = {}

    def fold(self) -> Schema:
        requirement = self._read(self._root, 0)
        if requirement is None:
            raise NoObject(f"accepts no object; its type is {json.dumps(self._root.get('type'))}")
        folded = self._write(requirement)
        limit = 4 * self._size + 1000
        if count_values(folded, limit) >= limit:
            raise _TooComplex
        return without_unused(_repair_references(folded, self._root))

    def _write(self, requirement: _Object) -> dict[str, Any]:
        kept = {name: value for name, value in self._root.items() if name not in _FOLDED}
        properties = {
            name: {} if part is True else part for name, part in requirement.properties.items()
        }
        folded: dict[str, Any] = {"type": "object", **kept, "properties": properties}
        if requirement.required:
            folded["required"] = list(requirement.required)
        if requirement.others is not True:
            folded["additionalProperties"] = requirement.others
        return folded

    def _read(self, schema: Part, depth: int) -> _Object | None:
        """Return what *schema* requires of an object, or None if it accepts none."""
        self._count_visits(READING_VISITS)
        if depth > MAX_DEPTH:
            raise _TooComplex
        if isinstance(schema, bool):
            return ANY if schema else None
        if "$id" in schema and depth:  # its references have another root
            return ANY
        if "object" not in types_of(schema):
            return None
        parts = [_own(schema), self._literal(schema)]
        if "$ref" in schema:
            parts.append(self._refer(schema["$ref"], depth))
        parts += [self._read(part, depth + 1) for part in schema.get("allOf", ())]
        for name in ("anyOf", "oneOf"):
            if name in schema:
                parts.append(self._either([self._read(part, depth + 1) for part in schema[name]]))
        return reduce(self._both, parts)

    def _literal(self, schema: Schema) -> _Object | None:
        """Return what const or enum require."""
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if values is None:
            return ANY
        objects = [value for value in values if isinstance(value, Mapping)]
        return self._either(
            [
                _Object(
                    {name: {"const": inner} for name, inner in value.items()}, tuple(value), False
                )
                for value in objects
            ]
        )

    def _refer(self, reference: str, depth: int) -> _Object | None:
        """Return what the target of *reference* requires, which is nothing in a circle."""
        if reference not in self._targets:
            self._targets[reference] = ANY
            target = find(self._root, reference)
            self._targets[reference] = ANY if target is None else self._read(target, depth + 1)
        return self._targets[reference]

    def _both(self, left: _Object | None, right: _Object | None) -> _Object | None:
        if left is None or right is None:
            return None
        names = dict.fromkeys((*left.properties, *right.properties))
        required = tuple(dict.fromkeys((*left.required, *right.required)))
        self._count_visits(len(names) + len(required))
        parts = {name: self._all(left.of(name), right.of(name)) for name in names}
        if any(parts.get(name) is False for name in required):
            return None
        properties = {name: part for name, part in parts.items() if part is not False}
        return _Object(properties, required, self._all(left.others, right.others))

    def _either(self, objects: Iterable[_Object | None]) -> _Object | None:
        several = [alternative for alternative in objects if alternative is not None]
        if len(several) < 2:
            return several[0] if several else None
        names = dict.fromkeys(name for each in several for name in each.properties)
        self._count_visits(len(names) * len(several) // 4)
        properties = {name: self._any([each.of(name) for each in several]) for name in names}
        shared = set(several[0].required).intersection(*(each.required for each in several))
        required = tuple(name for name in several[0].required if name in shared)
        others = self._any([each.others for each in several])
        return _Object(properties, required, True if accepts_all(others) else others)

    def _all(self, left: Part, right: Part) -> Part:
        return self._counted(all_of(left, right))

    def _any(self, parts: Sequence[Part]) -> Part:
        several = (member for part in parts for member in parts_of(part, "anyOf"))
        distinct = {self._key(part): part for part in several if part is not False}
        return self._counted(any_of([*distinct.values()]))

    def _key(self, part: Part) -> str:
        """Return a key for *part* that distinguishes 1 from True, unlike Python's equality."""
        if id(part) not in self._keys:
            self._keys[id(part)] = part, repr(part)
        return self._keys[id(part)][1]

    def _counted(self, part: Part) -> Part:
        """Return *part* after counting its values, shared ones once for each use."""
        self._count_visits(count_values(part, self._visits_left + 1))
        return part

    def _count_visits(self, visits: int) -> None:
        self._visits_left -= visits
        if self._visits_left < 0:
            raise _TooComplex


def _own(schema: Schema) -> _Object:
    """Return what properties, required and additionalProperties of *schema* require."""
    properties = {name: plain(part) for name, part in schema.get("properties", {}).items()}
    others = plain(schema.get("additionalProperties", True))
    if "patternProperties" in schema:  # it may apply to other names too
        others = True
    return _Object(properties, tuple(schema.get("required", ())), others)


def _repair_references(schema: Schema, root: Schema) -> Schema:
    """Return *schema*, the folded *root*, with references that accept as much as before.

    References to parts of *root* other than definitions accept everything: their targets moved.
    """
    others = [kind for kind in types_of(root) if kind != "object"]
    whole: Schema = {"$ref": "#"}
    if others:  # the folded root accepts only objects
        whole = {"anyOf": [whole, {"type": others}]}
    return loosen(schema, lambda inner: _repair(inner, whole))


def _repair(schema: Schema, whole: Schema) -> Schema:
    reference = schema.get("$ref")
    if "$dynamicRef" in schema:
        return {}
    if reference is None or str(reference).startswith(("#/$defs/", "#/definitions/")):
        return schema
    if reference != "#":
        return {}
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**rest, **whole} if whole.keys().isdisjoint(rest) else {}

"""One object schema for what anyOf, oneOf, allOf or $ref at the top of a JSON Schema describe.

The model's API takes none of them there. The folded schema accepts every object that the original
accepts, and as few others as it can say. The work and the size of the result are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from wrapper.services.json_schema.parts import accepts_all, all_of, any_of, parts_of, plain
from wrapper.services.json_schema.references import find, mend_references, without_unused
from wrapper.services.json_schema.subschemas import Part, Schema, count_values, types_of

COMPOSED = ("anyOf", "oneOf", "allOf", "$ref", "$dynamicRef")
# Beside a composition these are folded as well, or mean something else once it is gone.
_FOLDED = {
    *COMPOSED,
    *("type", "properties", "required", "additionalProperties", "const", "enum"),
    *("unevaluatedProperties", "discriminator"),
}
MAX_DEPTH = 24
# The work that folding may take, in values looked at, beyond a few looks at each of the original's.
MAX_STEPS = 100_000
LOOKS = 20
# What it costs to read a schema, in looks.
READING = 10


class NoObject(ValueError):
    """Raised for a schema that accepts no object."""


class _TooComplex(Exception):
    """Raised where folding would take too long, or its result would be too large."""


@dataclass(frozen=True)
class _Object:
    """What is asked of an object; *others* is what its other properties must match."""

    properties: Mapping[str, Part] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    others: Part = True

    def of(self, name: str) -> Part:
        return self.properties.get(name, self.others)


ANY = _Object()


def fold(schema: Part) -> Schema:
    """Return a schema of type object for *schema*, a valid one; *schema* itself if it is one.

    Raises NoObject where no object can match.
    """
    if isinstance(schema, bool):
        schema = _of_boolean(schema)
    if schema.get("type") == "object" and not any(name in schema for name in COMPOSED):
        return schema
    try:
        return _Folder(schema).fold()
    except _TooComplex:
        told = {name: schema[name] for name in ("title", "description") if name in schema}
        return {"type": "object", **told}


def is_composed(schema: Part) -> bool:
    """Return whether folding changes more of *schema* than its type."""
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
        self._size = count_values(root, MAX_STEPS)
        self._steps = min(MAX_STEPS, 2000 + LOOKS * self._size)
        self._found: dict[str, _Object | None] = {}
        self._keys: dict[int, tuple[Part, str]] = {}

    def fold(self) -> Schema:
        found = self._read(self._root, 0)
        if found is None:
            raise NoObject(f"accepts no object; its type is {json.dumps(self._root.get('type'))}")
        folded = self._join(found)
        limit = 4 * self._size + 1000
        if count_values(folded, limit) >= limit:
            raise _TooComplex
        return without_unused(mend_references(folded, self._root))

    def _join(self, found: _Object) -> dict[str, Any]:
        kept = {name: value for name, value in self._root.items() if name not in _FOLDED}
        properties = {name: {} if one is True else one for name, one in found.properties.items()}
        folded: dict[str, Any] = {"type": "object", **kept, "properties": properties}
        if found.required:
            folded["required"] = list(found.required)
        if found.others is not True:
            folded["additionalProperties"] = found.others
        return folded

    def _read(self, schema: Part, depth: int) -> _Object | None:
        """Return what *schema* asks of an object; None where it accepts none."""
        self._count_steps(READING)
        if depth > MAX_DEPTH:
            raise _TooComplex
        if isinstance(schema, bool):
            return ANY if schema else None
        if "$id" in schema and depth:  # whose references lead elsewhere
            return ANY
        if "object" not in types_of(schema):
            return None
        parts = [_own(schema), self._literal(schema)]
        if "$ref" in schema:
            parts.append(self._refer(schema["$ref"], depth))
        parts += [self._read(one, depth + 1) for one in schema.get("allOf", ())]
        for name in ("anyOf", "oneOf"):
            if name in schema:
                parts.append(self._either([self._read(one, depth + 1) for one in schema[name]]))
        return reduce(self._both, parts)

    def _literal(self, schema: Schema) -> _Object | None:
        """Return what const or enum ask."""
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if values is None:
            return ANY
        objects = [value for value in values if isinstance(value, Mapping)]
        return self._either(
            [
                _Object({name: {"const": held} for name, held in one.items()}, tuple(one), False)
                for one in objects
            ]
        )

    def _refer(self, reference: str, depth: int) -> _Object | None:
        """Return what the schema that *reference* points to asks; nothing where it is a circle."""
        if reference not in self._found:
            self._found[reference] = ANY
            self._found[reference] = self._read(find(self._root, reference), depth + 1)
        return self._found[reference]

    def _both(self, one: _Object | None, other: _Object | None) -> _Object | None:
        if one is None or other is None:
            return None
        names = dict.fromkeys((*one.properties, *other.properties))
        required = tuple(dict.fromkeys((*one.required, *other.required)))
        self._count_steps(len(names) + len(required))
        parts = {name: self._all(one.of(name), other.of(name)) for name in names}
        if any(parts.get(name) is False for name in required):
            return None
        properties = {name: part for name, part in parts.items() if part is not False}
        return _Object(properties, required, self._all(one.others, other.others))

    def _either(self, objects: Iterable[_Object | None]) -> _Object | None:
        several = [one for one in objects if one is not None]
        if len(several) < 2:
            return several[0] if several else None
        names = dict.fromkeys(name for one in several for name in one.properties)
        self._count_steps(len(names) * len(several) // 4)
        properties = {name: self._any([one.of(name) for one in several]) for name in names}
        shared = set(several[0].required).intersection(*(one.required for one in several))
        required = tuple(name for name in several[0].required if name in shared)
        others = self._any([one.others for one in several])
        return _Object(properties, required, True if accepts_all(others) else others)

    def _all(self, one: Part, other: Part) -> Part:
        return self._weighed(all_of(one, other))

    def _any(self, parts: Sequence[Part]) -> Part:
        several = (more for one in parts for more in parts_of(one, "anyOf"))
        distinct = {self._key(part): part for part in several if part is not False}
        return self._weighed(any_of([*distinct.values()]))

    def _key(self, part: Part) -> str:
        """Return what tells *part* from others, where Python's own 1 is true."""
        if id(part) not in self._keys:
            self._keys[id(part)] = part, repr(part)
        return self._keys[id(part)][1]

    def _weighed(self, part: Part) -> Part:
        """Return *part*, of which a value that stands in several places counts in each."""
        self._count_steps(count_values(part, self._steps + 1))
        return part

    def _count_steps(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise _TooComplex


def _own(schema: Schema) -> _Object:
    """Return what the keywords of *schema* ask of an object that say so of each property."""
    properties = {name: plain(part) for name, part in schema.get("properties", {}).items()}
    others = plain(schema.get("additionalProperties", True))
    if "patternProperties" in schema:  # which the names of others may match
        others = True
    return _Object(properties, tuple(schema.get("required", ())), others)

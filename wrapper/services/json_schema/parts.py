"""Join schemas of a property into one that accepts what all of them accept, or any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wrapper.services.json_schema.subschemas import Part, Schema

# Schemas with no other keywords than these are joined into one enum.
_LITERALS = {"const", "enum", "type", "title", "description", "default"}


def plain(part: Part) -> Part:
    """Return *part*, with True in place of an empty schema."""
    return True if part == {} else part


def all_of(left: Part, right: Part) -> Part:
    """Return a schema that accepts what both schemas accept."""
    if left is False or right is False:
        return False
    if accepts_all(left) or accepts_all(right) or repr(left) == repr(right):
        return right if accepts_all(left) and right is not True else left
    return {"allOf": [*parts_of(left, "allOf"), *parts_of(right, "allOf")]}


def any_of(distinct: Sequence[Part]) -> Part:
    """Return a schema that accepts what any of these accepts, and still shows each to the model."""
    named = [part for part in distinct if part is not True]
    if len(named) == len(distinct) and (literals := _join_literals(named)):
        return literals
    if len(distinct) < 2:
        return distinct[0] if distinct else False
    return {"anyOf": [*named, *([{}] if len(named) < len(distinct) else [])]} if named else True


def accepts_all(part: Part) -> bool:
    """Say whether *part* evidently accepts every value."""
    return part is True or (isinstance(part, Mapping) and {} in part.get("anyOf", ()))


def parts_of(part: Part, name: str) -> Sequence[Part]:
    """Return the members of *part* if it is just a composition called *name*, else itself."""
    if isinstance(part, Mapping) and set(part) == {name}:
        return [plain(member) for member in part[name]]
    return [part]


def _join_literals(parts: Sequence[Part]) -> Schema | None:
    """Return one enum for *parts*, or None if they are not just constants and enums."""
    values: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, Mapping) or not set(part) <= _LITERALS:
            return None
        if "const" not in part and "enum" not in part:
            return None
        for value in [part["const"]] if "const" in part else part["enum"]:
            values[f"{type(value).__name__} {value!r}"] = value
    kinds = [part.get("type") for part in parts if isinstance(part, Mapping)]
    kind = {"type": kinds[0]} if kinds and kinds[0] and kinds.count(kinds[0]) == len(kinds) else {}
    return {**kind, "enum": list(values.values())} if len(values) > 1 else None

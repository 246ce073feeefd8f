"""Schemas of a property joined into one: of what all of them accept, or any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wrapper.services.json_schema.subschemas import Part, Schema

# Constants and enums that say no more than these are joined into one enum.
_LITERALS = {"const", "enum", "type", "title", "description", "default"}


def plain(part: Part) -> Part:
    return True if part == {} else part


def all_of(one: Part, other: Part) -> Part:
    if one is False or other is False:
        return False
    if accepts_all(one) or accepts_all(other) or repr(one) == repr(other):
        return other if accepts_all(one) and other is not True else one
    return {"allOf": [*parts_of(one, "allOf"), *parts_of(other, "allOf")]}


def any_of(distinct: Sequence[Part]) -> Part:
    """Return a schema of what any of these accepts. It names each, also beside one of all."""
    named = [part for part in distinct if part is not True]
    if len(named) == len(distinct) and (literals := _join_literals(named)):
        return literals
    if len(distinct) < 2:
        return distinct[0] if distinct else False
    return {"anyOf": [*named, *([{}] if len(named) < len(distinct) else [])]} if named else True


def accepts_all(part: Part) -> bool:
    return part is True or (isinstance(part, Mapping) and {} in part.get("anyOf", ()))


def parts_of(part: Part, name: str) -> Sequence[Part]:
    """Return what *part* is composed of, if it consists of a composition called *name* alone."""
    if isinstance(part, Mapping) and set(part) == {name}:
        return [plain(one) for one in part[name]]
    return [part]


def _join_literals(parts: Sequence[Part]) -> Schema | None:
    """Return one enum for *parts*, or None if they are not constants and enums alone."""
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

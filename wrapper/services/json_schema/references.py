"""Follow the references in a JSON Schema, and drop definitions that none leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from wrapper.services.json_schema.subschemas import Part, Schema, walk

REFERENCES = ("$ref", "$dynamicRef")


def find(root: Schema, reference: str) -> Part | None:
    """Return the schema that *reference* points to, or None if there is none in *root*."""
    pointer = unquote(reference.removeprefix("#"))
    if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
        return None
    target: Any = root
    try:
        for name in steps(reference):
            target = target[int(name) if isinstance(target, list) else name]
    except (LookupError, ValueError, TypeError):
        return None
    return target if isinstance(target, (Mapping, bool)) else None


def without_unused(schema: Schema) -> Schema:
    """Return *schema* without definitions that nothing in it refers to."""
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in definitions}
    waiting: list[Any] = [rest]
    used: dict[str, set[str]] = {name: set() for name in definitions}
    while waiting:
        for reference in _references(waiting.pop()):
            keyword, name = [*steps(reference), "", ""][:2]
            if keyword in used and name in definitions[keyword] and name not in used[keyword]:
                used[keyword].add(name)
                waiting.append(definitions[keyword][name])
    for keyword, names in used.items():
        if names:
            kept = definitions[keyword].items()
            rest[keyword] = {name: value for name, value in kept if name in names}
    return rest


def _references(schema: Any) -> Iterator[str]:
    for value in walk(schema):
        if isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
            yield value["$ref"]


def steps(reference: str) -> list[str]:
    """Return the steps of *reference*, a JSON pointer."""
    names = unquote(reference.removeprefix("#")).split("/")[1:]
    return [name.replace("~1", "/").replace("~0", "~") for name in names]

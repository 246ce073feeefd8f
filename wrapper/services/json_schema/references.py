"""Follow the references in a JSON Schema, and repair those that folding breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from wrapper.services.json_schema.subschemas import Part, Schema, map_schemas, types_of, walk


def find(root: Schema, reference: str) -> Part:
    """Return the schema that *reference* points to, or True if there is none in *root*."""
    pointer = unquote(reference.removeprefix("#"))
    if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
        return True
    target: Any = root
    try:
        for name in _steps(reference):
            target = target[int(name) if isinstance(target, list) else name]
    except (LookupError, ValueError, TypeError):
        return True
    return target if isinstance(target, (Mapping, bool)) else True


def repair_references(schema: Schema, root: Schema) -> Schema:
    """Return *schema*, the folded *root*, with references that accept as much as before.

    References to parts of *root* other than definitions accept everything: their targets moved.
    """
    others = [kind for kind in types_of(root) if kind != "object"]
    whole: Schema = {"$ref": "#"}
    if others:  # the folded root accepts only objects
        whole = {"anyOf": [whole, {"type": others}]}
    repaired: Schema = map_schemas(schema, lambda inner: _repair(inner, whole))
    return repaired


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


def without_unused(schema: Schema) -> Schema:
    """Return *schema* without definitions that nothing in it refers to."""
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in definitions}
    waiting: list[Any] = [rest]
    used: dict[str, set[str]] = {name: set() for name in definitions}
    while waiting:
        for reference in _references(waiting.pop()):
            keyword, name = [*_steps(reference), "", ""][:2]
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


def _steps(reference: str) -> list[str]:
    """Return the steps of *reference*, a JSON pointer."""
    steps = unquote(reference.removeprefix("#")).split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]

"""The references in a JSON Schema: where they lead, and which of them a change has broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from wrapper.services.json_schema.subschemas import Part, Schema, map_schemas, types_of


def find(root: Schema, reference: str) -> Part:
    """Return the schema that *reference* points to; one that accepts all if it is no pointer."""
    pointer = unquote(reference.removeprefix("#"))
    if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
        return True
    found: Any = root
    try:
        for name in _steps(reference):
            found = found[int(name) if isinstance(found, list) else name]
    except (LookupError, ValueError, TypeError):
        return True
    return found if isinstance(found, (Mapping, bool)) else True


def mend_references(schema: Schema, root: Schema) -> Schema:
    """Return *schema*, to which *root* was folded, with references that accept what they did.

    Those into *root* itself, but for its definitions, accept all: what they point to has moved.
    """
    others = [kind for kind in types_of(root) if kind != "object"]
    again: Schema = {"$ref": "#"}
    if others:  # which the folded root does not accept any more
        again = {"anyOf": [again, {"type": others}]}
    mended: Schema = map_schemas(schema, lambda one: _mend(one, again))
    return mended


def _mend(schema: Schema, again: Schema) -> Schema:
    reference = schema.get("$ref")
    if "$dynamicRef" in schema:
        return {}
    if reference is None or str(reference).startswith(("#/$defs/", "#/definitions/")):
        return schema
    if reference != "#":
        return {}
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    return {**rest, **again} if again.keys().isdisjoint(rest) else {}


def without_unused(schema: Schema) -> Schema:
    """Return *schema* without the definitions that nothing in it refers to any more."""
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
            held = definitions[keyword].items()
            rest[keyword] = {name: one for name, one in held if name in names}
    return rest


def _references(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            if isinstance(one.get("$ref"), str):
                yield one["$ref"]
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)


def _steps(reference: str) -> list[str]:
    """Return the names on the way to what *reference*, a JSON pointer, points to."""
    steps = unquote(reference.removeprefix("#")).split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]

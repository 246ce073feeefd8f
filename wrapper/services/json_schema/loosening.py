"""Loosen the schemas in a JSON Schema, so that the whole accepts at least as much as before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from wrapper.json_text.precision import write_exact
from wrapper.services.json_schema.references import REFERENCES, find
from wrapper.services.json_schema.subschemas import (
    Part,
    Schema,
    map_schemas,
    map_value,
    schemas_in,
)

Change = Callable[[Schema], Schema]
_CONDITION = ("if", "then", "else")
# What these refuse depends on what other keywords accept.
_DEPENDENT = {"unevaluatedItems", "unevaluatedProperties", "maxContains"}


def loosen(schema: Schema, change: Change) -> Schema:
    """Return *schema* with *change* applied to each schema in it, or itself if nothing changes.

    *change* returns a schema that accepts at least as much as its argument, or its argument. Words
    replace the keywords that would refuse more because of that.
    """
    if all(change(inner) is inner for inner in schemas_in(schema)):
        return schema
    loosened = _loosen(schema, change)
    repaired: Schema = map_schemas(loosened, lambda inner: in_words(inner, _lost(inner, loosened)))
    return repaired


def in_words(schema: Schema, names: Collection[str]) -> Schema:
    """Return *schema* with its keywords *names* in its description instead, or itself."""
    stated = {name: value for name, value in schema.items() if name in names}
    if not stated:
        return schema
    kept = {name: value for name, value in schema.items() if name not in stated}
    return describe(kept, f"It must also match this JSON Schema: {write_exact(stated)}")


def describe(schema: Schema, sentence: str) -> Schema:
    """Return *schema* with *sentence* at the end of its description."""
    described = schema.get("description")
    before = f"{described}\n\n" if isinstance(described, str) and described else ""
    return {**schema, "description": before + sentence}


def _loosen(schema: Any, change: Change) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    own = change(schema)
    own = _any_of_one_of(in_words(own, {*_refusing(own, change)}))
    inherited = {id(value) for value in schema.values()}
    return {
        # What is left of these holds no change. What *change* has added is final, even where a
        # keyword of the schema has the same name: `_repair` puts in an anyOf of its own.
        name: value
        if name in ("not", "if") or id(value) not in inherited
        else map_value(name, value, lambda part: _loosen(part, change))
        for name, value in own.items()
    }


def _refusing(schema: Schema, change: Change) -> Iterator[str]:
    """Yield the keywords that may refuse more if schemas are loosened."""
    yield from _DEPENDENT
    if "not" in schema and _may_change(schema["not"], change):
        yield "not"
    if "if" in schema and _may_change(schema["if"], change):
        yield from _CONDITION
    if "anyOf" in schema:
        yield "oneOf"


def _may_change(part: Part, change: Change) -> bool:
    """Say whether a schema in *part* changes, or what it refers to may."""
    return any(
        change(inner) is not inner or any(name in inner for name in REFERENCES)
        for inner in schemas_in(part)
    )


def _any_of_one_of(schema: Schema) -> Schema:
    if "oneOf" not in schema:
        return schema
    renamed = {"anyOf" if name == "oneOf" else name: value for name, value in schema.items()}
    return describe(renamed, "It must match exactly one of the schemas in anyOf.")


def _lost(schema: Schema, root: Schema) -> list[str]:
    """Return the references in *schema* whose targets are not in *root*."""
    return [name for name in REFERENCES if name in schema and find(root, schema[name]) is None]

"""Reduce a JSON Schema to draft 7, as Claude Code reads the schema of an agent's answer.

Claude Code is strict: it ignores a schema with an unknown keyword as a whole, and then the agent
cannot answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrapper.json_text.precision import write_exact
from wrapper.services.json_schema.exact import describe
from wrapper.services.json_schema.references import find
from wrapper.services.json_schema.subschemas import Schema, map_schemas

KNOWN = {
    *("$id", "$ref", "$defs", "definitions", "type", "const", "enum"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "format", "contentMediaType", "contentEncoding"),
    *("items", "maxItems", "minItems", "uniqueItems", "contains"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames"),
    *("maxProperties", "minProperties", "required"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
}
_ANCHOR = re.compile("#[^/]")
# These keywords do not restrict a value.
_NEUTRAL = {"$schema", "$comment", "$anchor", "$dynamicAnchor", "$vocabulary"}


def as_draft_7(schema: Schema) -> tuple[Schema, bool]:
    """Return *schema* without keywords unknown to draft 7, and whether those restrict values.

    Descriptions state the missing keywords. The result accepts at least as much as the original.
    """
    restricts: list[bool] = []

    def repair(inner: Schema, root: Schema) -> Schema:
        reference = str(inner.get("$ref", ""))
        if not reference.startswith("#/") or find(root, reference) is not True:
            return inner
        restricts.append(True)
        return {name: value for name, value in inner.items() if name != "$ref"}

    known: Schema = map_schemas(schema, lambda inner: _state_unknown(inner, restricts))
    repaired: Schema = map_schemas(known, lambda inner: repair(inner, known))
    return repaired, bool(restricts)


def _state_unknown(schema: Schema, restricts: list[bool]) -> Schema:
    unknown = set(_unknown(schema))
    kept: Schema = {name: value for name, value in schema.items() if name not in unknown}
    stated = {name: value for name, value in schema.items() if name in unknown - _NEUTRAL}
    if not stated:
        return kept
    restricts.append(True)
    return describe(kept, f"It must also match this JSON Schema: {write_exact(stated)}")


def _unknown(schema: Schema) -> Iterator[str]:
    """Yield the keywords that Claude Code refuses, by themselves or beside the others."""
    yield from (name for name in schema if name not in KNOWN)
    if "prefixItems" in schema:
        yield "items"
    if "patternProperties" in schema and "properties" in schema:
        yield from ("patternProperties", "additionalProperties")
    if "if" not in schema or not ("then" in schema or "else" in schema):
        yield from ("if", "then", "else")
    if _ANCHOR.match(str(schema.get("$ref", ""))):
        yield "$ref"

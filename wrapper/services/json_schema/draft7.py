"""Reduce a JSON Schema to draft 7, as Claude Code reads the schema of an agent's answer.

Claude Code is strict: it ignores a schema with an unknown keyword as a whole, and then the agent
cannot answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrapper.services.json_schema.loosening import in_words, loosen
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
    plain: Schema = map_schemas(schema, _without_neutral)
    known = loosen(plain, lambda inner: in_words(inner, {*_unknown(inner)}))
    return known, known is not plain


def _without_neutral(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name not in _NEUTRAL}


def _unknown(schema: Schema) -> Iterator[str]:
    """Yield the keywords that Claude Code refuses, by themselves or beside the others."""
    yield from (name for name in schema if name not in KNOWN)
    if "prefixItems" in schema:
        yield "items"
    if "patternProperties" in schema and "properties" in schema:
        yield from ("patternProperties", "additionalProperties")
    if "if" not in schema or not ("then" in schema or "else" in schema):
        yield from ("if", "then", "else")
    if schema.get("minContains") == 0:
        yield "contains"
    if _ANCHOR.match(str(schema.get("$ref", ""))):
        yield "$ref"
